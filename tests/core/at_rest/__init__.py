"""A spec at rest: may we, is it there, is it ours, is it right already, may it begin."""
