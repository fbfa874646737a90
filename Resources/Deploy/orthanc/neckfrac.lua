-- Passes each stable CT series on to NeckFrac by STOW-RS, and tries again while NeckFrac does not answer.
-- What comes back from NeckFrac (SEG, SR, secondary capture) is no CT and is not passed on.

local PAUSE, MOST = 5, 60 -- seconds between two tries, and tries; a job that failed for good: POST /jobs/{id}/resubmit
local tries = {}

function OnStableSeries(series, tags, metadata)
  if tags['Modality'] == 'CT' then
    local job = ParseJson(RestApiPost('/dicom-web/servers/neckfrac/stow',
      DumpJson({ Resources = { series }, Synchronous = false })))
    tries[job['ID']] = 1
  end
end

function OnJobFailure(job)
  if tries[job] ~= nil and tries[job] < MOST then
    tries[job] = tries[job] + 1
    os.execute('sleep ' .. PAUSE)
    RestApiPost('/jobs/' .. job .. '/resubmit', '')
  end
end

function OnJobSuccess(job)
  tries[job] = nil
end
