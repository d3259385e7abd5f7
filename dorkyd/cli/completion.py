"""`dorkyctl completion`: the script that a shell reads. What is offered is `completing`'s; this has the table of commands."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from dorkyd.cli.app import app, show

BASH = r"""# dorkyctl completion for bash. In ~/.bashrc: source <(dorkyctl completion bash)
_dorkyctl() {
    local line IFS=$'\n' cur=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    while read -r line; do
        case $line in
            :files) compopt -o filenames; COMPREPLY+=($(compgen -f -- "$cur")) ;;
            :folders) compopt -o filenames; COMPREPLY+=($(compgen -d -- "$cur")) ;;
            *) COMPREPLY+=("$line"); [[ $line == *[/:] ]] && compopt -o nospace ;;
        esac
    done < <(dorkyctl --complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -F _dorkyctl dorkyctl
"""
ZSH = r"""#compdef dorkyctl
# dorkyctl completion for zsh. Into a folder of $fpath as `_dorkyctl`, or in ~/.zshrc after compinit:
#   source <(dorkyctl completion zsh)
_dorkyctl() {
    local line value
    local -a values shown open
    for line in "${(@f)$(dorkyctl --complete zsh -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        value=${line%%$'\t'*}
        case $line in
            '') ;;
            :files) _files ;;
            :folders) _files -/ ;;
            *[/:]|*[/:]$'\t'*) open+=("$value") ;;
            *$'\t'*) values+=("$value"); shown+=("$value  -- ${line#*$'\t'}") ;;
            *) values+=("$value"); shown+=("$value") ;;
        esac
    done
    (( $#values )) && compadd -l -d shown -a values
    (( $#open )) && compadd -S '' -a open
    return 0
}
if [[ $funcstack[1] == _dorkyctl ]]; then _dorkyctl "$@"; else compdef _dorkyctl dorkyctl; fi
"""
FISH = r"""# dorkyctl completion for fish. Into ~/.config/fish/completions/dorkyctl.fish, or: dorkyctl completion fish | source
function __dorkyctl_complete
    set -l current (commandline -ct)
    for line in (dorkyctl --complete fish -- (commandline -opc)[2..-1] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$current"
            case :folders
                __fish_complete_directories "$current"
            case '*'
                echo $line
        end
    end
end
complete -c dorkyctl -f -a '(__dorkyctl_complete)'
"""


class Shell(StrEnum):
    """Whose script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command(epilog="Example: dorkyctl completion bash > ~/.local/share/bash-completion/completions/dorkyctl")
def completion(shell: Annotated[Shell, typer.Argument(help="Whose script.")]) -> None:
    """Print the script that completes commands, options, project names and paths in a shell.

    It asks the running daemon, and offers less when there is none. It need not be made anew after an upgrade.
    """
    show({Shell.BASH: BASH, Shell.ZSH: ZSH, Shell.FISH: FISH}[shell].rstrip("\n"), lines=True)


def table() -> dict[str, Any]:
    """See `completing.Table`."""
    from dorkyd.cli import load_all  # noqa: PLC0415  it imports this

    load_all()
    return dict(_rows("", typer.main.get_command(app)))


def _rows(name: str, command: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if hasattr(command, "commands"):
        shown = {word: each for word, each in command.commands.items() if not each.hidden}
        yield name, {"words": {word: _line(each.help) for word, each in shown.items()}}
        for word, each in shown.items():
            yield from _rows(f"{name} {word}".strip(), each)
        return
    options: dict[str, tuple[str | list[str], str]] = {"--help": ("flag", "Show what it does.")}
    kinds, more = [], False
    for each in command.params:
        if each.param_type_name == "argument":
            kinds += _kinds(each.name, each.metavar or "")
            more = each.nargs == -1
            continue
        choices = each.type_descriptor.choices
        takes = "flag" if each.is_flag else [str(choice.value) for choice in choices] if choices else "value"
        options |= {option: (takes, _line(each.help)) for option in each.opts}
    yield name, {"options": options, "arguments": kinds, "more": more}


def _kinds(name: str, metavar: str) -> list[str]:
    """What may stand for an argument, by how it is called; empty texts: nothing that we know of."""
    match metavar:
        case "NAME PREFIX" | "NAME PATH":
            return ["name-or-path"]
        case "[NAME:]ID PATH...":
            return ["", "path"]
        case "FILE... [NAME:PATH]":
            return ["file"]
    if name in {"name", "first"}:
        return ["project"]
    if name in {"path", "paths", "folder", "file"} or "PATH" in metavar:
        return [name if name in {"folder", "file"} else "path"]
    return [""]


def _line(text: str | None) -> str:
    """The first line, and of that the first sentence."""
    first = (text or "").strip().partition("\n")[0]
    return first.partition(". ")[0].rstrip(".")
