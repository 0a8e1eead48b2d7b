"""How bash, zsh and fish ask what completes a word, and how they are answered.

The answer is a line for each candidate: what it is, its text, and what it means, with tabs between them. ``word`` is
whole, ``part`` goes on, ``files`` says how the names of files end (``*``: any), and where in the word their path
begins. Files are found by the shell itself, which knows how to quote them. No line: the shell completes files.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import ShellComplete, split_arg_string

from glmdeploy.cli import complete

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM, VARIABLE = "glmdeploy", "_GLMDEPLOY_COMPLETE"

# Bash splits words at colons and equals signs, and replaces only what stands behind the last of them: Python sees the
# line itself, and answers with that much less. Without compopt (bash before 4, as macOS has it) a space is put behind
# folders and paths too.
BASH = """\
%(complete_func)s() {
    local kind value rest found files="" folders="" last=""
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value rest; do
        case $kind in
            word | part)
                COMPREPLY+=("$value")
                last=$kind
                ;;
            files)
                [[ $value == "*" ]] && value=""
                while IFS= read -r found; do
                    [[ -n $found ]] && COMPREPLY+=("$found") && files=yes
                done <<< "$(compgen -f -X "!*$value" -- "$rest"; [[ $value && ! $folders ]] && compgen -d -- "$rest")"
                folders=yes
                ;;
        esac
    done <<< "$(%(complete_var)s=bash_complete COMP_LINE="${COMP_LINE:0:COMP_POINT}" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2> /dev/null)"
    if [[ -n $files ]]; then
        compopt -o filenames 2> /dev/null
    elif [[ ${#COMPREPLY[@]} -eq 1 && $last == part ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
complete -o bashdefault -o default -o nosort -F %(complete_func)s %(prog_name)s 2> /dev/null ||
    complete -o bashdefault -o default -F %(complete_func)s %(prog_name)s
"""

ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local line kind value rest ret=1
    local -a before words_whole words_part endings
    before=("${(@Q)words[1,CURRENT-1]}")
    for line in "${(@f)$(%(complete_var)s=zsh_complete COMP_WORDS="${(F)before}" COMP_WORD="${(Q)PREFIX}" \\
        ${~words[1]} 2> /dev/null)}"; do
        IFS=$'\\t' read -r kind value rest <<< "$line"
        case $kind in
            word) words_whole+=("${value//:/\\\\:}${rest:+:$rest}") ;;
            part) words_part+=("${value//:/\\\\:}${rest:+:$rest}") ;;
            files) endings+=("${value#\\*}") ;;
        esac
    done
    (( $#words_whole )) && _describe -V value words_whole && ret=0
    (( $#words_part )) && _describe -V value words_part -S '' && ret=0
    if (( $#endings )) || (( ! $#words_whole && ! $#words_part )); then
        compset -P '-*='
        if [[ -n "${(j::)endings}" ]]; then
            _files -g "*(${(j:|:)endings})" && ret=0
        else
            _files && ret=0
        fi
    fi
    return ret
}
if [[ $funcstack[1] == %(complete_func)s ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

FISH = """\
function %(complete_func)s
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l files
    set -l found
    set -l before (string join \\n -- $words | string collect)
    for line in (env %(complete_var)s=fish_complete COMP_WORDS="$before" COMP_WORD="$current" $words[1] 2> /dev/null)
        set -l answer (string split \\t -- $line)
        switch $answer[1]
            case word part
                set found yes
                printf '%%s\\t%%s\\n' $answer[2] "$answer[3]"
            case files
                set -a files $answer[2]
        end
    end
    if test -z "$found$files" -o "$files" = '*'
        __fish_complete_path (string replace -r -- '^-[^=]*=' '' "$current")
        return
    end
    # Stars in a variable's value stand for themselves: those here are written out.
    set -l before (string match -r -- '^-[^=]*=' "$current")
    set -l path (string replace -r -- '^-[^=]*=' '' "$current" | string replace -r -- '^~/' "$HOME/")
    for ending in $files
        for file in $path*$ending $path*/
            printf '%%s%%s\\n' "$before" $file
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


class Answering(ShellComplete):
    """What the three shells share."""

    def prefix(self) -> str:
        """What of the word the shell keeps, and so is no part of the answer."""
        return ""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if incomplete.startswith("-") and equals:
            for each in found:
                each.value = f"{option}={each.value}"
        return found

    def format_completion(self, item: CompletionItem[Any]) -> str:
        value = str(item.value).removeprefix(self.prefix())
        if item.type in ("file", complete.FILES):
            return f"files\t{item.ending or '*'}\t{value}"
        if item.type == "dir":
            return f"files\t*\t{value}"
        kind = "part" if item.type == complete.PART else "word"
        # The help of an option may have many sentences; a shell shows one line.
        return "\t".join((kind, value, *re.split(r"[.;] ", " ".join((item.help or "").split()))[:1])).rstrip("\t")


class Lined(Answering):
    """zsh and fish tell the words before, a line for each, and the one that is completed."""

    def get_completion_args(self) -> tuple[list[str], str]:
        return os.environ["COMP_WORDS"].split("\n")[1:], os.environ["COMP_WORD"]


class Zsh(Lined):
    name, source_template = "zsh", ZSH


class Fish(Lined):
    name, source_template = "fish", FISH


class Bash(Answering):
    name, source_template = "bash", BASH
    _kept = ""

    def prefix(self) -> str:
        return self._kept

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        incomplete = "" if line[-1:].isspace() else words.pop()
        breaks = "".join(each for each in "=:" if each in os.environ.get("COMP_WORDBREAKS", "=:"))
        if breaks and (kept := re.match(f".*[{breaks}]", incomplete)):
            self._kept = kept[0]
        return words[1:], incomplete

    def complete(self) -> str:
        # What is quoted bash completes by itself: as a file.
        quoted = re.search(r"""['"\\$`~]\S*$""", os.environ["COMP_LINE"])
        return "" if quoted else super().complete()


SHELLS = {each.name: each for each in (Bash, Zsh, Fish)}


def script(cli: click.Command, shell: str) -> str:
    """What a shell reads, so that it asks."""
    return SHELLS[shell](cli, {}, PROGRAM, VARIABLE).source()


def answer(cli: click.Command) -> int:
    """Print what was asked for; the exit code. What cannot be had in silence is not had."""
    shell, _, wanted = os.environ[VARIABLE].partition("_")
    if shell not in SHELLS or wanted not in ("source", "complete"):
        return 1
    try:
        asked = SHELLS[shell](cli, {}, PROGRAM, VARIABLE)
        text = asked.source() if wanted == "source" else asked.complete()
        click.echo(text, nl=bool(text))
    except Exception:
        if os.environ.get("GLMDEPLOY_DEBUG"):
            raise
        return 1
    return 0
