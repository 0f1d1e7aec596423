# Completion of pybuild for fish 3 and later. Written by `pybuild completion fish`.

function __pybuild_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    set -l lines (command $program __complete fish $words "$current" 2>/dev/null)
    set -l adds (string split ' ' -- $lines[1])[1]
    set -e lines[1]
    if test (count $lines) -gt 0
        printf '%s\n' $lines
    end
    switch $adds
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current" ''
    end
end

complete -c pybuild -f -a '(__pybuild_complete)'
