# Stands in for the steps that write the extension's config file and package.
