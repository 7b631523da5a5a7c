"""kubectl's command line grammar on click: pflag's rules for flags, and the global options on every command.

pflag and click differ: `--wait=false`, `-n=x`, a bare `--dry-run`, words after `--`. Arguments are brought into the one
form both agree on, `--name=value` followed by `--` and the words, before click reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from pylet.cli.failure import Failure
from pylet.cli.kubectl.errors import as_kubectl, misused
from pylet.cli.kubectl.session import GLOBALS, REPEATED, Session
from pylet.cli.lazy import LazyGroup

_DASH = "pylet.words_before_dash"
_LINE = "pylet.line"


class Flag(click.Option):
    """An option by pflag's rules; `bare` is the value it has when it stands alone, None when it needs one."""

    def __init__(self, name: str, short: str = "", *, bare: str | None = None, **kwargs: Any) -> None:
        names = [f"--{name}", name.replace("-", "_")] + ([f"-{short}"] if short else [])
        super().__init__(names, **kwargs)
        self.bare = bare


def text(name: str, short: str = "", default: str | None = "", help: str = "", bare: str | None = None) -> Flag:
    return Flag(name, short, default=default, help=help, bare=bare)


def many(name: str, short: str = "", help: str = "") -> Flag:
    return Flag(name, short, multiple=True, help=help)


def number(name: str, short: str = "", default: int = 0, help: str = "") -> Flag:
    return Flag(name, short, default=default, type=_Integer(), metavar="INT", help=help)


def switch(name: str, short: str = "", *, default: bool = False, help: str = "") -> Flag:
    return Flag(name, short, default=default, type=_Boolean(), bare="true", metavar="[BOOL]", help=help)


def arguments() -> click.Argument:
    return click.Argument(["args"], nargs=-1)


class _Boolean(click.ParamType[bool]):
    name = "bool"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        match value:
            case bool():
                return value
            case "1" | "t" | "T" | "true" | "TRUE" | "True":
                return True
            case "0" | "f" | "F" | "false" | "FALSE" | "False":
                return False
        raise _invalid(value, param, ctx, "ParseBool")


class _Integer(click.ParamType[int]):
    name = "int"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(value)
        except ValueError:
            raise _invalid(value, param, ctx, "ParseInt") from None


def _invalid(value: Any, param: click.Parameter | None, ctx: click.Context | None, function: str) -> Failure:
    assert param is not None
    assert ctx is not None
    flag = ", ".join(sorted(param.opts, key=len))
    return Failure(
        f'error: invalid argument "{value}" for "{flag}" flag: strconv.{function}: parsing "{value}": invalid syntax'
        f"\nSee '{kubectl_path(ctx)} --help' for usage."
    )


_GLOBAL_FLAGS = [
    Flag(name, short, help=help_, default=None, bare=bare, multiple=name in REPEATED)
    for name, short, bare, help_ in GLOBALS
]
_GLOBAL_NAMES = [str(flag.name) for flag in _GLOBAL_FLAGS]


def canonical(
    command: str, params: Sequence[click.Parameter], args: list[str], *, leading: bool
) -> tuple[list[str], int]:
    """The arguments as `--name=value`… `--` words…, and how many words stood before a `--` (-1 without one).

    `leading` stops at the first word, for a command that has commands. Raises: Failure, worded as pflag words it.
    """
    flags = {
        name: param for param in params if isinstance(param, Flag) for name in (*param.opts, *param.secondary_opts)
    }
    options: list[str] = []
    words: list[str] = []
    rest = list(args)
    see = f"\nSee '{command} --help' for usage."
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            dash = len(words)
            return ([*options, "--", *words, *rest]), dash
        if not arg.startswith("-") or arg == "-":
            if leading:
                return [*options, arg, *rest], -1
            words.append(arg)
        elif arg in ("-h", "--help"):
            return ["--help"], -1
        elif arg.startswith("--"):
            name, equals, value = arg.partition("=")
            if name not in flags:
                raise Failure(f"error: unknown flag: {name}{see}")
            options.append(_long(flags[name], value if equals else None, rest, f"flag needs an argument: {name}{see}"))
        else:
            options += _cluster(flags, arg, rest, see)
    return ([*options, "--", *words] if words and not leading else [*options, *words]), -1


def _cluster(flags: dict[str, Flag], arg: str, rest: list[str], see: str) -> list[str]:
    """What `-it`, `-nx`, `-n=x` and `-n x` stand for."""
    found: list[str] = []
    letters = arg[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = flags.get(f"-{letter}")
        if flag is None:
            raise Failure(f"error: unknown shorthand flag: '{letter}' in {arg}{see}")
        if letters.startswith("=") and letters != "=":
            return [*found, _long(flag, letters[1:], rest, "")]
        if flag.bare is None:
            missing = f"flag needs an argument: '{letter}' in {arg}{see}"
            return [*found, _long(flag, letters or None, rest, missing)]
        found.append(_long(flag, None, rest, ""))
    return found


def _long(flag: Flag, value: str | None, rest: list[str], missing: str) -> str:
    if value is None:
        value = flag.bare
    if value is None:
        if not rest:
            raise Failure(f"error: {missing}")
        value = rest.pop(0)
    return f"{flag.opts[0] if flag.opts[0].startswith('--') else flag.opts[-1]}={value}"


class KubectlCommand(click.Command):
    """Calls back with a Session in front of the command's own parameters."""

    def __init__(self, name: str, callback: Callable[..., Any], params: Sequence[click.Parameter] = (), **kwargs: Any):
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        own = {opt for param in params for opt in param.opts}
        shared = [flag for flag in _GLOBAL_FLAGS if not own & set(flag.opts)]
        super().__init__(name, callback=callback, params=[*params, *shared], **kwargs)
        self._globals = [str(flag.name) for flag in shared]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        path = kubectl_path(ctx)
        args, ctx.meta[_DASH] = canonical(path, self.params, args, leading=False)
        end = args.index("--") if "--" in args else len(args)
        words = args[end + 1 :]
        if words and not any(isinstance(param, click.Argument) for param in self.params):
            raise misused(path, f"Unexpected args: [{' '.join(words)}]")
        ctx.meta[_LINE] = " ".join([path, *words, *args[:end]])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        settings = dict(ctx.obj or {})
        settings |= {name: value for name in self._globals if (value := ctx.params.pop(name, None)) not in (None, ())}
        command, line = kubectl_path(ctx), ctx.meta[_LINE]
        session = Session(settings, command=command, words_before_dash=ctx.meta[_DASH], line=line)
        with as_kubectl():
            assert self.callback is not None
            result = self.callback(session, **ctx.params)
        session.finish()
        return result


class KubectlGroup(LazyGroup):
    """Hands its global options on to the command below."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        self.params.extend(_GLOBAL_FLAGS)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        path = kubectl_path(ctx)
        args, _ = canonical(path, self.params, args, leading=True)
        if "--help" not in args and all(arg.startswith("--") for arg in args):
            click.echo(ctx.get_help())
            ctx.exit(1 if " " in path else 0)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        given = {name: value for name in _GLOBAL_NAMES if (value := ctx.params.pop(name, None)) not in (None, ())}
        ctx.obj = {**(ctx.obj or {}), **given}
        return super().invoke(ctx)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            path = kubectl_path(ctx)
            if " " in path:
                raise misused(path, f'unknown command "{args[0]}"')
            from pylet.cli.kubectl.suggesting import suggestions

            meant = "".join(f"\n\t{name}" for name in suggestions(args[0], self.list_commands(ctx)))
            also = f"\n\nDid you mean this?{meant}" if meant else ""
            raise Failure(f'error: unknown command "{args[0]}" for "{path}"{also}')
        return super().resolve_command(ctx, args)


def kubectl_path(ctx: click.Context) -> str:
    """How kubectl would call this command: `kubectl rollout status`."""
    return ctx.command_path.removeprefix("pylet ")
