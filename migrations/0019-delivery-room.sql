-- A batch is frozen from the oldest on, so whole pages of the queue are marked in one
-- transaction: with 30 % of a page free half of the new versions went elsewhere, and
-- each of those into three indexes. With room for all of them every mark is a HOT
-- update: 6.4 MB of log for 20,000 members become 1.8. Pages that are there keep what
-- they have; the queue's are soon others.
ALTER TABLE delivery SET (fillfactor = 45);
