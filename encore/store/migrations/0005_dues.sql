-- Paying what a subscription on hold owes is stored as an offer instance, too, and follows no offer of the merchant.
-- SQLite changes no CHECK: a new column takes the old one's place.
ALTER TABLE offer_instances ADD COLUMN kind_with_dues text NOT NULL DEFAULT 'one_time'
  CHECK (kind_with_dues IN ('one_time','plan_change','dues'));
UPDATE offer_instances SET kind_with_dues = kind;
ALTER TABLE offer_instances DROP COLUMN kind;
ALTER TABLE offer_instances RENAME COLUMN kind_with_dues TO kind;
INSERT INTO offers (id, live_version, state, changed_at) VALUES ('@dues', 0, 'live', 0);
