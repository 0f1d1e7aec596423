#compdef pybuild
# Completion of pybuild for zsh. Written by `pybuild completion zsh`.

_pybuild() {
    local -a lines found ending
    local line adds
    lines=("${(@f)$(command "${(Q)words[1]}" __complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    adds=${lines[1]% *}
    if [[ ${lines[1]} == *nospace ]]; then ending=(-S ''); fi
    for line in "${(@)lines[2,-1]}"; do
        if [[ $line == *$'\t'* ]]; then
            found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        elif [[ -n $line ]]; then
            found+=("${line//:/\\:}")
        fi
    done
    local result=1
    if (( ${#found} )); then
        _describe -t pybuild 'pybuild' found "${ending[@]}" && result=0
    fi
    case $adds in
        files) _files && result=0 ;;
        folders) _files -/ && result=0 ;;
    esac
    return result
}

if [[ ${funcstack[1]} == _pybuild ]]; then
    _pybuild "$@"
else
    compdef _pybuild pybuild
fi
