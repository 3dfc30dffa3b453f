"""Tests of training: skipped as a whole without the extra `train`."""

import pytest

for _module in ("tensorflow", "keras", "sklearn", "onnx", "tf2onnx"):
    pytest.importorskip(_module, reason=f"{_module} is not installed: it comes with the extra 'train'")
