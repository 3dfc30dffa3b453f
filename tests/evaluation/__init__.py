"""Tests of evaluation: skipped as a whole without the extra `train`."""

import pytest

for _module in ("tensorflow", "keras", "sklearn", "onnx", "tf2onnx", "matplotlib", "jinja2"):
    pytest.importorskip(_module, reason=f"{_module} is not installed: it comes with the extra 'train'")
