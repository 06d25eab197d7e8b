"""What every room stands on: arrays and labels, devices, files, provenance, torchvision."""
