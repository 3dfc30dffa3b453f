"""What a model is worth: protocol, metrics, calibration, report. Needs the extra `train`."""
