"""The methods: arrays in, arrays out. numpy and scipy (torch inside functions); never Slicer, Qt or SimpleITK."""
