"""What leaves the tool: findings, values, sizes and rules, as text for people and in the formats of other programs.

Everything here returns strings and data; only ``cli`` prints. No reporter reads a finding itself: :mod:`view` hands out
what may be shown of it, and so no format shows a secret.
"""
