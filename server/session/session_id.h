#ifndef COROD_SERVER_SESSION_SESSION_ID_H_
#define COROD_SERVER_SESSION_SESSION_ID_H_

#include <string_view>

#include "absl/status/status.h"

namespace corod {

// OK if `id`, which is qualified, may name a session: 1 to 128 of A-Za-z0-9._:-, a letter or digit first and last, no
// two dots together. That is asked of its local name. INVALID_SESSION_ID otherwise, saying what is wrong.
absl::Status CheckSessionId(std::string_view qualified);

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_ID_H_
