# bash completion of keepalived-go. Generated; do not edit. See internal/manual.

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
        option=${cur%%=*} value=${cur#*=}
    fi
    if ((COMP_CWORD > 1)); then
        word=${COMP_WORDS[1]}
        case $word in
            plan|fmt|explain) tool=$word ;;
        esac
    fi
    if [[ -z $option ]]; then
        case $tool:$prev in
            :-f|:--use-file|:-S|:--log-facility|:-u|:--umask|:-p|:--pid|:-r|:--vrrp_pid|:-c|:--checkers_pid|:-b|:--bfd_pid|:-A|:--snmp-agent-socket|:-s|:--namespace|:-i|:--config-id|:--signum|:--config-fd) option=$prev value=$cur ;;
            plan:-i) option=$prev value=$cur ;;
            explain:-f|explain:-i) option=$prev value=$cur ;;
        esac
    fi
    if [[ -n $option ]]; then
        case $tool:$option in
            :-f|:--use-file) _keepalived_go_files "$value";;
            :-S|:--log-facility) COMPREPLY+=($(compgen -W "daemon user local0 local1 local2 local3 local4 local5 local6 local7" -- "$value"));;
            :-g|:--log-file) _keepalived_go_files "$value";;
            :-p|:--pid) _keepalived_go_files "$value";;
            :-r|:--vrrp_pid) _keepalived_go_files "$value";;
            :-c|:--checkers_pid) _keepalived_go_files "$value";;
            :-b|:--bfd_pid) _keepalived_go_files "$value";;
            :--signum) COMPREPLY+=($(compgen -W "STOP RELOAD DATA STATS STATS_CLEAR JSON" -- "$value"));;
            :-t|:--config-test) COMPREPLY+=($(compgen -W "json" -- "$value")); _keepalived_go_files "$value";;
            explain:-f) _keepalived_go_files "$value";;
        esac
        return
    fi
    case $tool in
        plan)
            if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W "-i --offline" -- "$cur"))
            else
                _keepalived_go_files "$cur"
            fi ;;
        fmt)
            if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W "-d -w" -- "$cur"))
            else
                _keepalived_go_files "$cur"
            fi ;;
        explain)
            if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W "-a -f -i --offline" -- "$cur"))
            fi ;;
        *)
            if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W "-f --use-file= -P --vrrp -C --check -B --no_bfd --all -l --log-console -D --log-detail -S --log-facility= -g --log-file --log-file= --flush-log-file -G --no-syslog -u --umask= -X --release-vips -V --dont-release-vrrp -I --dont-release-ipvs -R --dont-respawn -n --dont-fork -d --dump-conf -p --pid= -r --vrrp_pid= -c --checkers_pid= -b --bfd_pid= -T --genhash -a --address-monitoring -x --snmp -A --snmp-agent-socket= -s --namespace= -m --core-dump -M --core-dump-pattern --core-dump-pattern= -e --all-config -i --config-id= --signum= -t --config-test --config-test= --check-reload --offline --lint --config-fd= --ignore-sigint --perf --perf= --debug --debug= --no-mem-check -L --mem-check-log -O --openssl-mem-check -v --version -h --help" -- "$cur"))
            elif ((COMP_CWORD == 1)); then
                COMPREPLY=($(compgen -W "plan fmt explain" -- "$cur"))
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
