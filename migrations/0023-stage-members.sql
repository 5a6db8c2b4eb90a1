-- A stage's customers are listed as members of the rule's value: the index held them once
-- more, and a change of stage wrote both.
DROP INDEX profile_lifecycle;
