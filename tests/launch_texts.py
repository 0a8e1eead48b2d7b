"""Launches as people write them, made at random, with the words in them that an import must account for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from random import Random

    from glmdeploy.sglang.catalog import Option

VERSIONS = ("0.5.10", "0.5.12.post1", "0.5.16", "0.5.23")
OF_MODEL = {"model_path", "config", "help", "version", "nnodes", "tp_size", "pp_size", "dp_size"}
"""Fields that each launch has once, or that change what is read."""
NBSP, EM, EN, ZERO = "\u00a0", "\u2014", "\u2013", "\u200b"


@dataclass
class Written:
    """``text`` of a launch; ``words`` that must be found again: where each stands, and what it says."""

    text: str = ""
    words: list[tuple[int, int, str]] = field(default_factory=list)

    def put(self, text: str, *, counts: bool = False) -> None:
        if counts:
            self.words.append((len(self.text), len(self.text) + len(text), text))
        self.text += text

    def add(self, other: Written, before: str = "", behind: str = "") -> None:
        """Another text between two pieces."""
        begin = len(self.text) + len(before)
        self.text += before + other.text + behind
        self.words += [(start + begin, end + begin, word) for start, end, word in other.words]


@dataclass
class Maker:
    """Makes launches. Values are numbered, so that each can be found by itself."""

    random: Random
    number: int = 41_000
    joined: list[str] = field(default_factory=list)

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def unique(self) -> str:
        self.number += 1
        return str(self.number)

    def name(self) -> str:
        return f"v{self.unique()}x"

    def script(self) -> Written:
        """A whole text with one launch."""
        made = Written()
        if self.chance(0.3):
            made.put("#!/usr/bin/env bash\n")
        for kind in self.random.sample(range(8), self.random.randrange(4)):
            self.line_before(made, kind)
        options = self.options(made)
        launch = self.command(options)
        shape = self.random.randrange(12)
        if shape == 0:
            made.add(launch, "start() {\n  ", "\n}\nstart\n")
        elif shape == 1:
            made.add(launch, 'if [ -n "$GO" ]; then\n  ', "\nfi\n")
        elif shape == 2:
            made.put("for n in ")
            for index in range(3):
                made.put(" " if index else "")
                made.put(self.name(), counts=True)
            made.add(launch, "; do\n  ", " &\ndone\nwait\n")
        elif shape == 3:
            made.add(launch, "serve() { ", "; }\n")
        elif shape == 5:
            made.add(launch, "run() {\n  ", "\n}\nrun ")
            made.put(f"{self.name()}\n")
        elif shape == 6:
            made.add(launch, "while true; do\n  ", "\n  sleep 5\ndone\n")
        elif shape == 7:
            made.add(launch, "(\n  ", "\n) &\n")
        elif shape == 4:
            made.add(launch, "cat > run.sh <<'EOF'\n", "\nEOF\nbash run.sh\n")
        else:
            made.add(launch, "", self.random.choice(["", "\n"]))
        if self.chance(0.2):
            made.put(
                self.random.choice(["\nsleep 5\necho done\n", "\nwait\n", "\n# the end\n", "\ncurl -s localhost\n"])
            )
        return made

    def line_before(self, made: Written, kind: int) -> None:
        if kind == 0:
            made.put(f"# a comment about {self.name()}\n")
        elif kind == 1:
            made.put("set -euo pipefail\n")
        elif kind == 2:
            made.put(f"export APP_{self.name().upper()}=")
            made.put(self.name(), counts=True)
            made.put("\n")
        elif kind == 3:
            made.put(f"UNUSED_{self.unique()}={self.name()}\n")
        elif kind == 4:
            made.put("#SBATCH --gres=gpu:h200:4\n")
        elif kind == 5:
            made.put("cd /srv && source env.sh\n")
        elif kind == 6:
            made.put("export HF_TOKEN=")
            made.put(self.name(), counts=True)
            made.put("\n")
        else:
            made.put("echo starting > log.txt 2>&1\n")

    def options(self, made: Written) -> list[Written]:
        """The arguments of the launch, each option with its values; some stand in variables and arrays before it."""
        groups = [self.option("--model-path", f"Org/{self.name()}")]
        groups[0] = self.random.choice(
            [groups[0], self.option(self.random.choice(["--model", "--model-path"]), f"a/{self.name()}")]
        )
        for _ in range(self.random.randrange(1, 7)):
            groups.append(self.any_option())
        kind = self.random.randrange(16)
        if kind == 8:  # set where it is not set
            made.put(': "${SERVED:=')
            made.put(self.name(), counts=True)
            made.put('}"\n')
            groups.append(self.plain("--served-model-name $SERVED"))
        elif kind == 9:  # inside of ( ) only
            made.put("NAME=")
            made.put(self.name(), counts=True)
            made.put("\n( NAME=")
            made.put(self.name(), counts=True)
            made.put(" )\n")
            groups.append(self.plain("--served-model-name $NAME"))
        elif kind == 10:  # unset under a condition
            made.put("NAME=")
            made.put(self.name(), counts=True)
            made.put("\nif true; then unset NAME; fi\n")
            groups.append(self.plain("--served-model-name ${NAME:-x}"))
        elif kind == 11:  # chained
            made.put("NAME=")
            made.put(self.name(), counts=True)
            made.put('\n[ "$A" = b ] && NAME=')
            made.put(self.name(), counts=True)
            made.put(" || NAME=")
            made.put(self.name(), counts=True)
            made.put("\n")
            groups.append(self.plain("--served-model-name $NAME"))
        elif kind == 12:  # what only a shell could tell
            group = Written()
            group.put("--port ")
            group.put(self.random.choice(["$(free-port)", "`free-port`", "$((30000 + N))", "${PORT%x}"]), counts=True)
            groups.append(group)
        elif kind == 13:  # in a loop
            made.put("for x in a b; do MORE+=(")
            made.add(self.any_option())
            made.put("); done\n")
            groups.append(self.plain('"${MORE[@]}"'))
        elif kind == 14:  # a variable of options, with blanks
            made.put('FLAGS="')
            made.add(self.any_option())
            made.put(" ")
            made.add(self.any_option())
            made.put('"\n')
            groups.append(self.plain("$FLAGS"))
        elif kind == 0:  # a variable
            made.put("TP=")
            made.put(self.unique(), counts=True)
            made.put("\n")
            groups.append(
                self.plain(self.random.choice(["--port $TP", '--served-model-name "$TP"', "--seed-file=${TP}"]))
            )
        elif kind == 1:  # an array
            made.put("ARGS=(")
            for group in (self.any_option(), self.any_option()):
                made.add(group, " ")
            made.put(self.random.choice([" )\n", "\n  # no more\n)\n"]))
            groups.append(self.plain('"${ARGS[@]}"'))
        elif kind == 2:  # one or the other
            made.put('if [ "$CONC" -gt 16 ]; then\n  LEVEL=')
            made.put(self.name(), counts=True)
            made.put("\nelse\n  LEVEL=")
            made.put(self.name(), counts=True)
            made.put("\nfi\n")
            groups.append(self.plain("--served-model-name $LEVEL"))
        elif kind == 3:  # emptied
            made.put('if test -n "$Q"; then\n  MORE=(')
            made.add(self.any_option())
            made.put(")\nelse\n  MORE=()\nfi\n")
            groups.append(self.plain('"${MORE[@]}"'))
        elif kind == 4:  # added
            made.put("MORE=(")
            made.add(self.any_option())
            made.put(')\n[ "$M" = 1 ] && MORE+=(')
            made.add(self.any_option())
            made.put(")\n")
            groups.append(self.plain('"${MORE[@]}"'))
        elif kind == 5:  # a default
            group = Written()
            group.put("--served-model-name ${SERVED:-")
            group.put(self.name(), counts=True)
            group.put("}")
            groups.append(group)
        elif kind == 6:  # not in the text
            group = Written()
            group.put(self.random.choice(["--chat-template", "--host", "--port", "--zz-unknown"]))
            group.put(" ")
            group.put(f"$NOT_{self.unique()}", counts=True)
            groups.append(group)
        elif kind == 7:  # a case
            made.put('case "$GPU" in\n  h200) NAME=')
            made.put(self.name(), counts=True)
            made.put(" ;;\n  *) NAME=")
            made.put(self.name(), counts=True)
            made.put(" ;;\nesac\n")
            groups.append(self.plain("--served-model-name $NAME"))
        self.random.shuffle(groups)
        return groups

    def plain(self, text: str) -> Written:
        made = Written()
        made.put(text)
        return made

    def option(self, flag: str, *values: str, joined: bool = False) -> Written:
        made = Written()
        if joined and values:
            made.put(f"{flag}={values[0]}", counts=True)
            return made
        made.put(flag, counts=True)
        for value in values:
            made.put(" ")
            made.put(value, counts=True)
        return made

    def any_option(self) -> Written:
        kind = self.random.randrange(20)
        if kind == 0:
            return self.option(f"--zz-{self.unique()}", self.name())
        if kind == 1:
            return self.option(f"--zz-{self.unique()}")
        if kind == 2:
            return self.option("--api-key", self.name())
        if kind == 3:
            return self.option("--host", self.random.choice(["0.0.0.0", "127.0.0.1", "10.0.0.7"]))
        if kind == 4:
            return self.option("--port", self.unique())
        if kind == 5:
            return self.option(self.name())  # belongs to no option
        if kind == 6:
            return self.option("--mem-frac", "0.85")
        option = self.random.choice(known(self.random.choice(VERSIONS)))
        flag = self.random.choice(option.flags)
        if not option.takes_value:
            return self.option(flag)
        return self.option(flag, self.value(option), joined=self.chance(0.25))

    def value(self, option: Option) -> str:
        if option.choices:
            return str(self.random.choice(option.choices))
        if option.type in ("int", "human_readable_int"):
            return self.unique()
        if option.type == "float":
            return f"0.{self.unique()}7"
        return self.name()

    def command(self, options: list[Written]) -> Written:
        """The launch itself, what is around it, and what ends it too early."""
        made = Written()
        wrapped = self.random.randrange(12)
        inner = wrapped in (7, 8)
        for _ in range(self.random.randrange(3) if self.chance(0.4) else 0):
            made.put(f"SGL_{self.unique()}=")
            made.put(self.name(), counts=True)
            made.put(" ")
        if wrapped <= 2:
            self.wrapper(made)
        elif wrapped in (3, 4):
            self.docker(made)
        elif wrapped == 5:
            self.container(made)
        body = self.body(options, plain=inner)
        if inner:
            head = self.random.choice(
                [
                    "bash -c ",
                    "sh -lc ",
                    "ssh host ",
                    "tmux new-session -d ",
                    "eval ",
                    "docker exec box bash -c ",
                    "su me -c ",
                ]
            )
            made.add(body, f"{head}'", "'")
        else:
            made.add(body)
        made.put(
            self.random.choice(
                ["", "", " > log 2>&1", " &", " 2>&1 | tee log.txt", " || true", "; echo done", " < /dev/null"]
            )
        )
        return made

    def wrapper(self, made: Written) -> None:
        for _ in range(self.random.randrange(1, 3)):
            words = self.random.choice(
                [
                    "nohup",
                    "numactl -N 0",
                    "timeout 5h",
                    f"srun --ntasks=1 --job-name={self.name()}",
                    "uv run --with sglang==0.5.11",
                    "stdbuf -oL",
                    f"taskset -c {self.unique()}",
                    f"mywrap --flag {self.name()}",
                    f"sudo -u {self.name()}",
                    "conda run -n sgl",
                    f"env ENV_{self.unique()}={self.name()}",
                    "setsid -f",
                ]
            ).split()
            for word in words:
                if word != "env":
                    made.put(word, counts=True)
                else:
                    made.put(word)
                made.put(" ")

    def container(self, made: Written) -> None:
        """A container that is not docker's."""
        words = self.random.choice(
            [
                f"srun --gres=gpu:h200:8 --container-image=a/b:{self.name()} --container-mounts=/{self.name()}",
                f"apptainer exec --nv --bind /{self.name()} --env AB_{self.unique()}={self.name()} {self.name()}.sif",
                f"singularity run --nv docker://lmsysorg/sglang:{self.name()}",
                f"kubectl exec -it {self.name()} -c {self.name()} --",
                f"docker compose exec -e AB={self.name()} {self.name()}",
                f"docker exec -it {self.name()}",
                f"systemd-run --unit={self.name()} --setenv=AB_{self.unique()}={self.name()}",
                f"uvx --from sglang==0.5.11 --with {self.name()}",
                f"flock /tmp/{self.name()}",
                f"screen -dmS {self.name()}",
                f"poetry run --directory {self.name()}",
                f"ssh -p {self.unique()} {self.name()}@host",
                f"nsys profile -o {self.name()}",
                f"mpirun -np 1 -x AB_{self.unique()}={self.name()}",
                f"strange --{self.name()} {self.name()} -x{self.name()}",
            ]
        ).split()
        for word in words:
            made.put(word, counts=True)
            made.put(" ")

    def docker(self, made: Written) -> None:
        made.put("docker run ")
        flags = [
            "--gpus all",
            "--rm",
            "-it",
            "--shm-size 32g",
            f"-p {self.unique()}:{self.unique()}",
            f"-v /data/{self.name()}:/data",
            f"-e DOCK_{self.unique()}={self.name()}",
            f"--name {self.name()}",
            "--ipc=host",
            f"--label {self.name()}",
            f"--env-file {self.name()}",
            f"-e {self.name()}",
            f"--env={self.name()}={self.name()}",
            f"-v/{self.name()}:/x",
            f"--mount type=bind,src=/{self.name()},dst=/x",
            "--network host",
            f"--network={self.name()}",
            "--entrypoint python3",
            f"--cpus {self.unique()}",
            f"-u {self.name()}",
            f"-w /{self.name()}",
            "-dit",
            "-d",
            "--restart=always",
        ]
        for flag in self.random.sample(flags, self.random.randrange(5)):
            for word in flag.split():
                made.put(word, counts=True)
                made.put(" ")
        made.put("lmsysorg/sglang:v0.5.11", counts=True)
        made.put(" ")

    def body(self, options: list[Written], *, plain: bool) -> Written:
        made = Written()
        made.put("python3 ")
        if self.chance(0.1):
            made.put(self.random.choice(["-u", "-O"]), counts=True)
            made.put(" ")
        made.put("-m sglang.launch_server")
        breaking = not plain and self.chance(0.35)
        joints = [self.random.choice([" ", " ", " \\\n  "]) for _ in options]
        if breaking:
            at = self.random.randrange(len(joints))
            joints[at] = self.random.choice(
                [
                    "\n  ",
                    " \\ \n  ",
                    " \\\t\n  ",
                    f" \\{NBSP}\n  ",
                    " \\\n  # a comment \\\n  ",
                    "  # two GPUs \\\n  ",
                    " \\\n\n  ",
                    f"{NBSP}",
                    f" {NBSP}",
                    f" \\\n{NBSP}{NBSP}",
                    " \\\r\n",
                    " &\n  ",
                    f" {ZERO}",
                    " \\ # a comment\n  ",
                ]
            )
        for joint, option in zip(joints, options, strict=True):
            # A line of its own behind a whole command is another command, unless it begins with an option.
            ends = joint.lstrip(" ").startswith(("\n", "&")) or "#" in joint or "\n\n" in joint
            made.put(" " if ends and option.text[0] != "-" else joint)
            made.add(self.mistyped(option) if not plain and self.chance(0.05) else option)
        return made

    def mistyped(self, option: Written) -> Written:
        """The option as a word processor writes it."""
        if not option.words or not option.text.startswith("--"):
            return option
        if self.chance(0.3) and len(option.words) == 2:
            start, end, word = option.words[1]
            return Written(
                text=f"{option.text[:start]}\u201c{word}\u201d",
                words=[option.words[0], (start, end + 2, word)],
            )
        dash = self.random.choice([EM, EN])
        cut = 1
        return Written(
            text=dash + option.text[2:],
            words=[(max(start - cut, 0), end - cut, word) for start, end, word in option.words],
        )


@cache
def known(version: str) -> list[Option]:
    """The options of a release that may stand in a launch several times, or not."""
    usable = [each for each in catalog.load(version).options if each.action not in ("help", "removed")]
    return [each for each in usable if each.dest not in OF_MODEL and "json" not in (each.type or "")]
