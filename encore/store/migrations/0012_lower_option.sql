-- Whether the page of a buyer's own change of plan may show a plan between first. It was said in step_key, which names a
-- step of a funnel: empty meant that it may.
ALTER TABLE offer_instances ADD COLUMN may_show_lower {int} NOT NULL DEFAULT 0 CHECK (may_show_lower IN (0,1));
UPDATE offer_instances SET may_show_lower = 1 WHERE offer_id = '@plan_change' AND step_key = '';
UPDATE offer_instances SET step_key = '' WHERE offer_id = '@plan_change';
