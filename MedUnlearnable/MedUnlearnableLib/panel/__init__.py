"""The panels: controls, tables and timers. The only layer with Qt; it runs inside Slicer."""
