"""The dissertation's chapters 7 and 8 and its appendix B: projections and saturation, printed beside measured."""
