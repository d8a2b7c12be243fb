"""The behavior of a policy: measured in the evaluation, stored beside the results, and shown."""
