-- Health of a SystemDiskSpec for Argo CD, from its kstatus conditions.
-- Argo CD runs this with few libraries: no string functions here.

-- Waits that end at a set time or when somebody says so. Every other wait ends by itself.
local suspended = {
  Suspended = true,
  AccountSuspended = true,
  Protected = true,
  AwaitingApproval = true,
  AwaitingWindow = true,
  DryRun = true,
}

local function health(status, message)
  return {status = status, message = message or ""}
end

local function said(condition)
  return (condition.reason or "") .. ": " .. (condition.message or "")
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "Deleted: an operation under way is brought to a safe end first")
end

local status = obj.status
if status == nil or status.conditions == nil then
  return health("Progressing", "Not seen by the operator yet")
end
if obj.metadata.generation ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "The last change was not seen by the operator yet")
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  local seen = condition.observedGeneration
  if seen == nil or seen == status.observedGeneration then
    conditions[condition.type] = condition
  end
end

local ready = conditions.Ready
local stalled = conditions.Stalled
local reconciling = conditions.Reconciling
local drifted = conditions.Drifted

if stalled ~= nil and stalled.status == "True" then
  return health("Degraded", said(stalled))
end
if reconciling ~= nil and reconciling.status == "True" then
  return health("Progressing", said(reconciling))
end
if ready == nil or ready.status == "Unknown" then
  return health("Progressing", "Readiness is not known yet")
end
if ready.status == "True" then
  if drifted ~= nil and drifted.status == "True" then
    return health("Healthy", said(drifted))
  end
  return health("Healthy", ready.message)
end
if suspended[ready.reason] then
  return health("Suspended", said(ready))
end
return health("Progressing", said(ready))
