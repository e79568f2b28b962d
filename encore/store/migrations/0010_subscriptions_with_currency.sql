-- A subscription whose currency nobody named shows no price and is charged nothing: it is asked for again.
INSERT INTO subscriptions_to_read (provider_subscription_id, due_at)
  SELECT provider_subscription_id, 0 FROM subscriptions WHERE currency IS NULL AND NOT EXISTS
  (SELECT 1 FROM subscriptions_to_read AS asked WHERE asked.provider_subscription_id = subscriptions.provider_subscription_id);
DELETE FROM subscriptions WHERE currency IS NULL;
