# Completion of pybuild for bash 4.4 and later. Written by `pybuild completion bash`.

_pybuild() {
    local adds= space= word
    COMPREPLY=()
    {
        read -r adds space
        while IFS=$'\t' read -r word _; do COMPREPLY+=("$word"); done
    } < <(command "$1" __complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    case $adds in
        files) compopt -o default ;;
        folders) compopt -o plusdirs ;;
    esac
    if [[ $space == nospace ]]; then compopt -o nospace; fi
}

complete -F _pybuild pybuild
