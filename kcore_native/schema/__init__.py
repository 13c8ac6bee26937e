"""Objects walked by their schema: types, unknown fields, empty values. Compiled, sans-IO."""
