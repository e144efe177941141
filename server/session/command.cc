#include "server/session/command.h"

#include "server/session/refusals.h"

namespace corod {

void Command::TurnAway(const absl::Status& refusal) { Finish(request_id.empty() ? refusal : InDoubt(refusal)); }

}  // namespace corod
