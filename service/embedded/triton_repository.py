"""The model repository as the embedded Triton serves it: production's folders, with what this processor makes of them written in.

Each `config.pbtxt` is copied and `parameters` are added (runtime, precision, threads, niceness), so that clients read from the
served configuration what answers them. Weights are linked, never copied. Production's files stay as they are.
"""

import mmap
import os
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SELF_TEST = "sonomyo_self_test"
#: An ONNX graph, opset 13: y = 2 * x + 1 for x of float32 (n, 4).
SELF_TEST_WEIGHTS = b64decode(
    "CAg6aQoOCgF4CgFhEgFtIgNNdWwKDgoBbQoBYhIBeSIDQWRkEgF0KgsQAUIBYUoEAAAAQCoLEAFCAWJKBAAAgD9aFAoBeBIPCg0IARIJCgMSAW4KAggEYhQKAXkS"
    "DwoNCAESCQoDEgFuCgIIBEIECgAQDQ=="
)
SELF_TEST_CONFIG = """backend: "onnxruntime"
max_batch_size: 1
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] } ]
"""
OPENVINO_SWITCH = 'optimization { execution_accelerators { cpu_execution_accelerator: [ { name: "openvino" } ] } }\n'
#: Processors that compute in bfloat16; elsewhere OpenVINO imitates it, four to eight times slower than fp32.
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
#: Of models that nobody waits for frame by frame: one of `answers_live` gets nearly all of a processor that both want.
_NICENESS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one version of a model runs on."""

    model_name: str
    model_version: str
    runtime: str
    precision: str
    threads: int
    why: str


def derive_repository(
    source: Path, target: Path, *, versions: Mapping[str, str], cores: int, flags: frozenset[str]
) -> list[Choice]:
    """Write `target` anew from `source`; gives what was chosen for each model, the self-test's included."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    choices = []
    for model in _models(source):
        text = _without_comments((model / "config.pbtxt").read_text())
        copy = target / model.name
        copy.mkdir()
        for entry in model.iterdir():
            if entry.name != "config.pbtxt":
                (copy / entry.name).symlink_to(entry.resolve())
        if 'backend:"onnxruntime"' in text.replace(" ", ""):
            own = _choose(model, text, versions, cores, flags)
            choices += own
            text = _with_choices(text, own)
        (copy / "config.pbtxt").write_text(text)
    return [*choices, _write_self_test(target / SELF_TEST, choices, versions)]


def processor_flags() -> frozenset[str]:
    """The instruction sets that the processor and the kernel offer (proc(5) cpuinfo)."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


def _models(source: Path) -> Iterator[Path]:
    for model in sorted(source.iterdir()) if source.is_dir() else ():
        if (model / "config.pbtxt").is_file():
            yield model


def _without_comments(text: str) -> str:
    """Text-format protobuf without its # comments; a # inside a string stays."""
    return re.sub(r'("(?:\\.|[^"\\\n])*")|#[^\n]*', lambda match: match[1] or "", text)


def _choose(model: Path, text: str, versions: Mapping[str, str], cores: int, flags: frozenset[str]) -> list[Choice]:
    """One for each version: they share the runtime, but each is as precise as its own file."""
    asks_openvino = re.search(r'cpu_execution_accelerator[\s:\[{]*name\s*:\s*"openvino"', text) is not None
    runtime = "openvino" if asks_openvino else "onnxruntime"
    chosen = []
    for path in sorted(model.glob("*/model.onnx")):
        precision, why = _precision(path, flags if asks_openvino else frozenset())
        chosen.append(
            Choice(
                model_name=model.name,
                model_version=path.parent.name,
                runtime=_label(runtime, versions),
                precision=precision,
                threads=max(1, cores // _instances(text)),
                why=why if asks_openvino else "config.pbtxt asks for no accelerator",
            )
        )
    return chosen


def _precision(path: Path, flags: frozenset[str]) -> tuple[str, str]:
    """And why."""
    if is_quantised(path):
        return "int8", "the network is quantised"
    bf16 = sorted(BF16_FLAGS & flags)
    return ("bf16", f"the processor has {bf16[0]}") if bf16 else ("fp32", "the processor has no bf16 instructions")


def _label(runtime: str, versions: Mapping[str, str]) -> str:
    return f"{runtime} {versions[runtime]}" if runtime in versions else runtime


def is_quantised(path: Path) -> bool:
    """Whether an ONNX file computes in integers."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(operator) >= 0 for operator in (b"QuantizeLinear", b"QLinearConv", b"MatMulInteger"))


def _instances(text: str) -> int:
    group = re.search(r"instance_group.*?count\s*:\s*(\d+)", text, re.DOTALL)
    return int(group[1]) if group else 1


def _niceness(text: str) -> int:
    """Priority against other processes (nice(2)): the configuration says which model answers while somebody examines."""
    return 0 if re.search(r'key\s*:\s*"answers_live"', text) else _NICENESS


def _with_choices(text: str, choices: Sequence[Choice]) -> str:
    """The configuration for the processor, with the choices as parameters; an entry of the same key given later wins."""
    text = re.sub(r"\bKIND_(GPU|AUTO)\b", "KIND_CPU", text)
    if "instance_group" not in text:
        text += "\ninstance_group [ { count: 1 kind: KIND_CPU } ]\n"
    added = {f"precision_{choice.model_version}": choice.precision for choice in choices}
    for choice in choices[:1]:
        added |= {"runtime": choice.runtime, "threads": str(choice.threads), "niceness": str(_niceness(text))}
    lines = (f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in added.items())
    return text + "\n" + "\n".join(lines) + "\n"


def _write_self_test(folder: Path, choices: list[Choice], versions: Mapping[str, str]) -> Choice:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(SELF_TEST_WEIGHTS)
    uses_openvino = any(choice.runtime.startswith("openvino") for choice in choices)
    text = SELF_TEST_CONFIG + (OPENVINO_SWITCH if uses_openvino else "")
    runtime = _label("openvino" if uses_openvino else "onnxruntime", versions)
    choice = Choice(model_name=SELF_TEST, model_version="1", runtime=runtime, precision="fp32", threads=1, why="one known answer")
    (folder / "config.pbtxt").write_text(_with_choices(text, [choice]))
    return choice
