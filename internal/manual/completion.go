package manual

import (
	"fmt"
	"strings"
)

// words are the values of options that have a fixed set of them, by the name of the value or the long name of the option.
var words = map[string]string{
	"FACILITY":    "daemon user local0 local1 local2 local3 local4 local5 local6 local7",
	"signum":      "STOP RELOAD DATA STATS STATS_CLEAR JSON",
	"config-test": "json",
}

// fileValues are the names of values that are files.
var fileValues = map[string]bool{"FILE": true, "LOGFILE": true}

// values returns the fixed values of an option, and whether files may follow it.
func (o Option) values() (fixed string, files bool) {
	fixed = words[o.Value]
	if fixed == "" {
		fixed = words[o.Long]
	}
	return fixed, fileValues[o.Value]
}

func (o Option) names() (out []string) {
	if o.Short != 0 {
		out = append(out, "-"+string(o.Short))
	}
	switch {
	case o.Long == "":
	case o.Optional:
		out = append(out, "--"+o.Long, "--"+o.Long+"=")
	case o.Value != "":
		out = append(out, "--"+o.Long+"=")
	default:
		out = append(out, "--"+o.Long)
	}
	return out
}

func allNames(list []Option) string {
	var out []string
	for _, o := range list {
		out = append(out, o.names()...)
	}
	return strings.Join(out, " ")
}

const generated = "Generated; do not edit. See internal/manual."

// Bash is the completion of bash. It needs nothing but bash itself.
func Bash(options []Option, tools []Tool) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion of keepalived-go. %s

# shellcheck disable=SC2207 # the words have no blanks, and those of files are set apart by mapfile
_keepalived_go() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev= option= value tool= word
    COMPREPLY=()
    ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD-1]}
    # bash makes words of its own of = and what stands around it.
    if [[ $cur == = ]]; then
        option=$prev value=
    elif [[ $prev == = ]]; then
        option=${COMP_WORDS[COMP_CWORD-2]} value=$cur
    elif [[ $cur == --*=* ]]; then
        option=${cur%%%%=*} value=${cur#*=}
    fi
    if ((COMP_CWORD > 1)); then
        word=${COMP_WORDS[1]}
        case $word in
`, generated)
	var names []string
	for _, t := range tools {
		names = append(names, t.Name)
	}
	fmt.Fprintf(&b, "            %s) tool=$word ;;\n        esac\n    fi\n", strings.Join(names, "|"))
	// A value in a word of its own follows options that need one.
	b.WriteString("    if [[ -z $option ]]; then\n        case $tool:$prev in\n")
	spaced := func(tool string, list []Option) {
		var pattern []string
		for _, o := range list {
			if o.Value == "" || o.Optional {
				continue
			}
			for _, n := range o.names() {
				pattern = append(pattern, tool+":"+strings.TrimSuffix(n, "="))
			}
		}
		if len(pattern) > 0 {
			fmt.Fprintf(&b, "            %s) option=$prev value=$cur ;;\n", strings.Join(pattern, "|"))
		}
	}
	spaced("", options)
	for _, t := range tools {
		spaced(t.Name, t.Options)
	}
	b.WriteString("        esac\n    fi\n    if [[ -n $option ]]; then\n        case $tool:$option in\n")
	valued := func(tool string, list []Option) {
		for _, o := range list {
			fixed, files := o.values()
			if fixed == "" && !files {
				continue
			}
			var pattern []string
			for _, n := range o.names() {
				if !strings.HasSuffix(n, "=") || !o.Optional {
					pattern = append(pattern, tool+":"+strings.TrimSuffix(n, "="))
				}
			}
			fmt.Fprintf(&b, "            %s)", strings.Join(pattern, "|"))
			if fixed != "" {
				fmt.Fprintf(&b, ` COMPREPLY+=($(compgen -W %q -- "$value"));`, fixed)
			}
			if files {
				b.WriteString(` _keepalived_go_files "$value";`)
			}
			b.WriteString(";\n")
		}
	}
	valued("", options)
	for _, t := range tools {
		valued(t.Name, t.Options)
	}
	b.WriteString("        esac\n        return\n    fi\n    case $tool in\n")
	for _, t := range tools {
		fmt.Fprintf(&b, "        %s)\n            if [[ $cur == -* ]]; then\n                COMPREPLY=($(compgen -W %q -- \"$cur\"))\n", t.Name, allNames(t.Options))
		if t.Name == "explain" {
			b.WriteString("            fi ;;\n")
			continue
		}
		b.WriteString("            else\n                _keepalived_go_files \"$cur\"\n            fi ;;\n")
	}
	fmt.Fprintf(&b, `        *)
            if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W %q -- "$cur"))
            elif ((COMP_CWORD == 1)); then
                COMPREPLY=($(compgen -W %q -- "$cur"))
            fi ;;
    esac
    # After a long option that takes a value comes the value, without a blank.
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == --*= ]] && compopt -o nospace 2>/dev/null
}

_keepalived_go_files() {
    local files
    mapfile -t files < <(compgen -f -- "$1")
    COMPREPLY+=("${files[@]}")
    compopt -o filenames 2>/dev/null
}

complete -F _keepalived_go keepalived-go
`, allNames(options), strings.Join(names, " "))
	return b.String()
}

// Zsh is the completion of zsh.
func Zsh(options []Option, tools []Tool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef keepalived-go\n# zsh completion of keepalived-go. %s\n\n_keepalived-go() {\n    local -a tools=(\n", generated)
	for _, t := range tools {
		fmt.Fprintf(&b, "        %s\n", quote(t.Name+":"+strings.ReplaceAll(t.Help, ":", `\:`)))
	}
	b.WriteString("    )\n    if ((CURRENT > 2)); then\n        case $words[2] in\n")
	for _, t := range tools {
		fmt.Fprintf(&b, "            %s)\n                shift words\n                ((CURRENT--))\n                _arguments -S \\\n", t.Name)
		for _, o := range t.Options {
			fmt.Fprintf(&b, "                    %s \\\n", zshOption(o))
		}
		rest := "'*:file:_files'"
		if t.Name == "explain" {
			rest = "'*:keyword or path: '"
		}
		fmt.Fprintf(&b, "                    %s\n                return ;;\n", rest)
	}
	b.WriteString("        esac\n    elif [[ $words[2] != -* ]]; then\n        _describe tool tools\n        return\n    fi\n    _arguments -s -S")
	for _, o := range options {
		fmt.Fprintf(&b, " \\\n        %s", zshOption(o))
	}
	b.WriteString("\n}\n\n_keepalived-go \"$@\"\n")
	return b.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// zshOption is one option as _arguments wants it.
func zshOption(o Option) string {
	help := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(o.Help)
	action := ""
	if o.Value != "" {
		fixed, files := o.values()
		action = ":" + o.Value + ":"
		switch {
		case files:
			action += "_files"
		case fixed != "":
			action += "(" + fixed + ")"
		default:
			action += " "
		}
		if o.Optional {
			action = ":" + action
		}
	}
	var names []string
	short, long := "-"+string(o.Short), "--"+o.Long
	switch {
	case o.Value == "":
	case o.Optional:
		short, long = short+"-", long+"=-"
	case o.Long != "":
		short, long = short+"+", long+"="
	}
	if o.Short != 0 {
		names = append(names, short)
	}
	if o.Long != "" {
		names = append(names, long)
	}
	if len(names) == 1 {
		return quote(names[0] + "[" + help + "]" + action)
	}
	plain := func(s string) string { return strings.TrimRight(s, "+=-") }
	return quote("("+plain(short)+" "+plain(long)+")") + "{" + strings.Join(names, ",") + "}" + quote("["+help+"]"+action)
}

// Fish is the completion of fish.
func Fish(options []Option, tools []Tool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of keepalived-go. %s\n\n", generated)
	var names []string
	for _, t := range tools {
		names = append(names, t.Name)
	}
	all := strings.Join(names, " ")
	b.WriteString("complete -c keepalived-go -f\n")
	for _, t := range tools {
		fmt.Fprintf(&b, "complete -c keepalived-go -n __fish_use_subcommand -a %s -d %s\n", t.Name, quote(t.Help))
	}
	line := func(condition string, o Option) {
		fmt.Fprintf(&b, "complete -c keepalived-go -n %s", quote(condition))
		if o.Short != 0 {
			fmt.Fprintf(&b, " -s %c", o.Short)
		}
		if o.Long != "" {
			fmt.Fprintf(&b, " -l %s", o.Long)
		}
		if o.Value != "" {
			fixed, files := o.values()
			if !o.Optional {
				b.WriteString(" -r")
			}
			if fixed != "" {
				fmt.Fprintf(&b, " -a %s", quote(fixed))
			}
			if files {
				b.WriteString(" -F")
			}
		}
		fmt.Fprintf(&b, " -d %s\n", quote(o.Help))
	}
	for _, o := range options {
		line("not __fish_seen_subcommand_from "+all, o)
	}
	for _, t := range tools {
		for _, o := range t.Options {
			line("__fish_seen_subcommand_from "+t.Name, o)
		}
		if t.Name != "explain" {
			fmt.Fprintf(&b, "complete -c keepalived-go -n %s -F\n", quote("__fish_seen_subcommand_from "+t.Name))
		}
	}
	return b.String()
}
