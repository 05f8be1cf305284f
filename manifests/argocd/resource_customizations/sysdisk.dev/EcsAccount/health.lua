-- Health of an EcsAccount for Argo CD: whether its identity works.
-- Argo CD runs this with few libraries: no string functions here.

local function health(status, message)
  return {status = status, message = message or ""}
end

local function said(condition)
  return (condition.reason or "") .. ": " .. (condition.message or "")
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "Deleted: goes when no operation uses it any more")
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

if stalled ~= nil and stalled.status == "True" then
  return health("Degraded", said(stalled))
end
if reconciling ~= nil and reconciling.status == "True" then
  return health("Progressing", said(reconciling))
end
if ready == nil or ready.status == "Unknown" then
  return health("Progressing", "Readiness is not known yet")
end
if obj.spec ~= nil and obj.spec.suspend == true then
  return health("Suspended", "spec.suspend is set: nothing new begins")
end
-- Every value but the two that plainly say no, as the operator reads it.
local annotated = (obj.metadata.annotations or {})["sysdisk.dev/suspend"] or ""
if annotated ~= "" and annotated ~= "false" then
  return health("Suspended", "annotation sysdisk.dev/suspend is set: nothing new begins")
end
if ready.status == "True" then
  return health("Healthy", ready.message)
end
return health("Degraded", said(ready))
