#ifndef COROD_SERVER_WIRE_PARSE_H_
#define COROD_SERVER_WIRE_PARSE_H_

#include <google/protobuf/message.h>

#include <string_view>

namespace corod::wire {

// Messages within messages that Parse follows on the native stack. Far above what the limits on values allow (three
// messages for each map), so that nearly every deep value is parsed and refused by its own depth.
inline constexpr int kMaxNesting = 1'200;

// Parses all of `bytes`. False: it is no such message or nests deeper; `message` is then as the parser left it.
bool Parse(std::string_view bytes, google::protobuf::Message* message);

}  // namespace corod::wire

#endif  // COROD_SERVER_WIRE_PARSE_H_
