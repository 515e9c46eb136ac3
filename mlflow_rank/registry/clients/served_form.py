"""Whether a model's files are of the form that we serve ourselves: our code, word for word, beside safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow_rank.errors import EvidenceError

_LOADER = "mlflow.pyfunc.loaders.code_model"  # the one that runs a model from its code
_CODE = Path(__file__).parents[1] / "runs" / "served_encoder.py"  # that encoders are logged with
_FORM = "an encoder as this version of `mlflow-rank measure --register` logs it"


def check_form(files: Path) -> None:
    """Refuse all but the form that `flavor.log_encoder` writes: our own code, word for word, beside safetensors.

    Code that came with a model was measured by nobody: it runs only where it is the code of this package. What MLflow
    would unpickle, import from the model's files, or read from elsewhere, is none of ours.

    Raises:
        EvidenceError: it is of another form.
    """
    import yaml

    try:
        described = _mapping(yaml.safe_load((files / "MLmodel").read_text(encoding="utf-8")))
        flavour = _mapping(_mapping(described.get("flavors")).get("python_function"))
        if flavour.get("loader_module") != _LOADER or flavour.get("python_model") is not None:
            got = f"loader {flavour.get('loader_module')!a}, python_model {flavour.get('python_model')!a}"
            raise EvidenceError("this model would be loaded by unpickling", got=got, expected=_FORM)
        code = (files / Path(str(flavour.get("model_code_path"))).name).read_bytes()
    except (OSError, ValueError, yaml.YAMLError) as error:
        got = str(error)[:200]
        raise EvidenceError("this model is of a form that is not loaded", got=got, expected=_FORM) from error
    if code != _CODE.read_bytes():
        raise EvidenceError("this model would be loaded by code of its own", got=_CODE.name, expected=_FORM)
    named = [flavour.get("code"), flavour.get("data"), *_artifacts(flavour)]
    outside = [str(each) for each in named if each is not None and not _is_within(files, str(each))]
    if flavour.get("code") is not None or outside:
        got = ", ".join(ascii(each) for each in outside) or f"code in {flavour.get('code')!a}"
        raise EvidenceError("this model would load what is not in its files", got=got, expected=_FORM)


def _artifacts(flavour: Mapping[str, Any]) -> list[object]:
    return [_mapping(each).get("path") for each in _mapping(flavour.get("artifacts")).values()]


def _is_within(files: Path, path: str) -> bool:
    return (files / path).resolve().is_relative_to(files.resolve())


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
