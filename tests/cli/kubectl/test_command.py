"""pflag's grammar on click: what a command line of kubectl's means."""

import pytest

from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import arguments, canonical, many, switch, text

PARAMS = [text("namespace", "n"), switch("watch", "w"), switch("stdin", "i"), switch("tty", "t"), many("filename", "f")]
PARAMS = [*PARAMS, text("dry-run", bare="unchanged"), arguments()]


@pytest.mark.parametrize(
    ("line", "canonical_form", "dash"),
    [
        pytest.param("pods -n x", "--namespace=x -- pods", -1, id="a value behind a short flag"),
        pytest.param("-nx pods", "--namespace=x -- pods", -1, id="a value in a short flag"),
        pytest.param("-n=x pods", "--namespace=x -- pods", -1, id="a value with an equals sign"),
        pytest.param("pods --watch=false", "--watch=false -- pods", -1, id="a switch turned off"),
        pytest.param("pods -w", "--watch=true -- pods", -1, id="a switch alone"),
        pytest.param("-it pod", "--stdin=true --tty=true -- pod", -1, id="several switches at once"),
        pytest.param("-itn x pod", "--stdin=true --tty=true --namespace=x -- pod", -1, id="switches and a value"),
        pytest.param("--dry-run pods", "--dry-run=unchanged -- pods", -1, id="a flag with a value of its own"),
        pytest.param("p -- ls -l -n", "-- p ls -l -n", 1, id="a command after a dash"),
        pytest.param("-f - -f x", "--filename=- --filename=x", -1, id="standard input as a file"),
    ],
)
def test_arguments_are_brought_into_one_form(line: str, canonical_form: str, dash: int) -> None:
    assert canonical("kubectl x", PARAMS, line.split(), leading=False) == (canonical_form.split(), dash)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "error: unknown flag: --nope"),
        ("-X", "error: unknown shorthand flag: 'X' in -X"),
        ("-wX", "error: unknown shorthand flag: 'X' in -wX"),
        ("-n", "error: flag needs an argument: 'n' in -n"),
        ("--namespace", "error: flag needs an argument: --namespace"),
    ],
)
def test_what_is_no_flag_is_refused_as_kubectl_does(line: str, message: str) -> None:
    with pytest.raises(Failure) as refused:
        canonical("kubectl x", PARAMS, line.split(), leading=False)
    assert refused.value.message == f"{message}\nSee 'kubectl x --help' for usage."
