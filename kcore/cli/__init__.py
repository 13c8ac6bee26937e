"""The command line: argv to components; the only place that knows them all."""
