"""What people see: deterministic folds over the events. docs/views.md has the rules in words."""
