package manual

import (
	"fmt"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/schema"
)

// Config is keepalived-go.conf(5): the language, and all keywords as the tables have them.
func Config(keywords []*config.Keyword) string {
	p := newPage("keepalived-go.conf", 5, "File formats")
	p.section("NAME")
	p.line(`keepalived\-go.conf \- configuration of keepalived\-go`)
	p.section("DESCRIPTION")
	p.paragraphs(`
The file is _/etc/keepalived/keepalived.conf_ unless *keepalived-go*(8) is told otherwise with *-f*.
It is the file of keepalived: whatever that accepts is accepted here.
What a configuration of one's own comes to is told by

    keepalived-go -t -f FILE                    # is it right
    keepalived-go explain -f FILE               # what each setting comes to, and why
    keepalived-go explain KEYWORD               # what a keyword means
    keepalived-go plan OLD NEW                  # what a reload would do
`)
	p.section("FILE FORMAT")
	p.subsection("Statements")
	p.paragraphs(`
A statement is a keyword and its values, separated by blanks, on one line.
Some keywords have a block in braces, which may begin on the same line or on the next: of further statements, or of entries, one a line.

A value with blanks, braces or remark signs stands in double quotes.
Commands have a second level of quoting: the command as a whole is one value, and within it single quotes, double quotes and backslashes
separate its arguments as in a shell; after it may come the user and the group that run it.

    notify_master "/usr/local/sbin/became 'the master'" nobody

Everything from an unquoted *#* or *!* to the end of the line is a remark.
A line has at most 1023 bytes.

Where a keyword stands twice in a block the last one counts, unless its description says otherwise; lists add up.
Booleans are *true*, *on*, *yes*, *false*, *off* and *no*; without a value they are true.
A keyword that is shown without a value is switched on by standing there, whatever follows it.
Times are in seconds, with up to six decimal places where fractions are allowed.
`)
	p.subsection("Other files")
	p.item(bold("include")+" "+italic("PATTERN"), marked("Reads the files that match, in the order of their names. A relative name is taken from the "+
		"directory of the file with this line. Where nothing can be read a message says so."))
	p.item(bold("includer")+", "+bold("includem")+", "+bold("includew")+", "+bold("includeb")+", "+bold("includea")+" "+italic("PATTERN"),
		marked("The same, but the configuration is refused: with *r* if a match is no readable plain file, with *m* also if a name without "+
			"wildcards is missing, with *w* also if a pattern matches nothing, with *b* if an alternative in braces is missing or a match "+
			"is not readable, with *a* in all of these cases. *include_check* in global_defs and *-e* ask for the same of all lines."))
	p.subsection("Conditions")
	p.item(bold("@")+italic("ID")+" "+italic("REST"), marked("The rest of the line counts only where _ID_ is the id of the configuration: the value of *-i*, "+
		"else the host name up to its first dot. One file then serves all routers of a cluster."))
	p.item(bold("@^")+italic("ID")+" "+italic("REST"), "The rest of the line counts everywhere else.")
	p.subsection("Definitions")
	p.item(bold("$")+italic("NAME")+"="+italic("TEXT"), marked("Defines a parameter, for which *${NAME}* stands from there on; so does *$NAME* before a blank, "+
		"a comma, a closing parenthesis or the end of the line. A backslash at the end continues the text on the next line: a parameter may "+
		"have several lines, whole blocks too."))
	p.item(bold("${_PWD}")+", "+bold("${_INSTANCE}")+", "+bold("${_RANDOM ")+italic("LOW HIGH")+bold("}")+", "+bold("${_ENV ")+italic("NAME")+bold("}")+", "+
		bold("${_HASH}")+", "+bold("${_BANG}"),
		"The directory of the file, the id of the configuration, a random number, a variable of the environment, and the two remark signs.")
	p.item(bold("~SEQ(")+italic("NAME")+", ["+italic("FIRST")+", ["+italic("STEP")+",]] "+italic("LAST")+bold(")")+" "+italic("REST"),
		marked("Repeats the rest of the line with the parameter set to each number; no blanks may stand in the parentheses. *~SEQx* counts in "+
			"hexadecimal, *~LST(NAME,WORD,WORD)* takes words."))
	p.section("KEYWORDS")
	p.paragraphs(`
They are listed by the block they stand in.
"Not in keepalived" marks keywords that are ours: they are off unless they are written, and make a file unfit for the way back.
"No effect yet" marks keywords that are read and checked, with a notice, but not acted on.
`)
	words := optionWords()
	block := ""
	for _, k := range keywords {
		if k.Blocks[0] != block {
			block = k.Blocks[0]
			name := block
			if name == schema.Root {
				name = "Outside of all blocks"
			}
			p.subsection(name)
		}
		tag := bold(k.Name)
		if k.Usage != "" {
			tag += " " + escape(k.Usage)
		}
		p.item(tag, escape(about(k, words)))
	}
	p.section("EXAMPLE")
	p.paragraphs(`
Two routers hold 192.0.2.100 and spread connections to port 80 over two servers.
The file is the same on both; on the second *-i b* chooses the lower priority.

    global_defs {
        enable_script_security
    }
    vrrp_instance VI_1 {
        interface eth0
        virtual_router_id 17
        @a priority 150
        @b priority 100
        virtual_ipaddress {
            192.0.2.100/24
        }
    }
    virtual_server 192.0.2.100 80 {
        delay_loop 5
        lb_algo wlc
        lb_kind NAT
        protocol TCP
        real_server 198.51.100.11 80 {
            TCP_CHECK {
                connect_timeout 3
            }
        }
        real_server 198.51.100.12 80 {
            TCP_CHECK {
                connect_timeout 3
            }
        }
    }
`)
	p.section("SEE ALSO")
	p.line(`.BR keepalived\-go (8),`)
	p.line(`.BR genhash (1)`)
	return p.String()
}

// optionWords are the words that may stand inside the lines or entries of keywords, by the path of the keyword.
func optionWords() map[string][]string {
	words := map[string][]string{}
	lines := map[string]bool{}
	config.Tables().Walk(schema.Root, func(r schema.Row) {
		path := r.Block + "/" + r.Name
		if r.Block == schema.Root {
			path = r.Name
		}
		if !r.Option {
			lines[path] = true
			return
		}
		line, before := r.Block, ""
		for line != "" && !lines[line] { // a word after a word
			i := strings.LastIndexByte(line, '/')
			line, before = line[:max(i, 0)], line[i+1:]+" "+before
		}
		if !strings.HasPrefix(r.Name, "<") {
			words[line] = append(words[line], before+r.Name)
		}
	})
	return words
}

// about is all that the tables say of a keyword.
func about(k *config.Keyword, words map[string][]string) string {
	parts := []string{sentence(k.Doc)}
	add := func(format, text string) {
		if text != "" {
			parts = append(parts, fmt.Sprintf(format, text))
		}
	}
	add("Default %s.", k.Default)
	add("The same as %s.", k.Same)
	add("Deprecated: write %s.", k.Instead)
	if k.Ours {
		parts = append(parts, "Not in keepalived.")
	}
	add("No effect yet: %s.", k.Pending)
	path := k.Blocks[0] + "/" + k.Name
	if k.Blocks[0] == schema.Root {
		path = k.Name
	}
	add("Words: %s.", strings.Join(words[path], ", "))
	if len(k.Blocks) > 1 {
		parts = append(parts, "Also in "+strings.Join(k.Blocks[1:], ", ")+".")
	}
	return strings.Join(parts, " ")
}
