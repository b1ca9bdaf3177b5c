"""The decision's core: rules and hours compiled at load, one pure function at request time."""
