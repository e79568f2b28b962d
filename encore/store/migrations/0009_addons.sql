-- Add-ons as last synced, and which plan each may be added to.
CREATE TABLE addons (
  id text PRIMARY KEY, position {int} NOT NULL, name text NOT NULL, description text NOT NULL,
  price_minor {int} NOT NULL CHECK (price_minor >= 0), currency text NOT NULL,
  -- No longer listed: a subscription may hold it still, and its name is needed.
  archived_at {int}, synced_at {int} NOT NULL
) {strict};
CREATE TABLE plan_addons (
  product_id text NOT NULL, addon_id text NOT NULL, PRIMARY KEY (product_id, addon_id)
) {strict};
