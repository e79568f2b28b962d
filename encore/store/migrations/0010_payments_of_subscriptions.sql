-- Which subscription a payment was for: what was paid for one beside what its customer agreed to shows only together.
ALTER TABLE payments ADD COLUMN subscription_id text;
UPDATE payments SET subscription_id = (SELECT attempts.subscription_id FROM attempts WHERE attempts.id = payments.attempt_id)
  WHERE attempt_id IS NOT NULL;
CREATE INDEX payments_of_subscription ON payments(subscription_id, created_at) WHERE subscription_id IS NOT NULL;
