#ifndef COROD_CLIENT_CLI_BENCH_FORM_H_
#define COROD_CLIENT_CLI_BENCH_FORM_H_

#include <string>

#include "client/cli/arguments.h"
#include "client/load/found.h"
#include "corod/v1/session.pb.h"

// What bench found, as text and as JSON. `session`: one of those that it sent to. REQUIRES: it found something.
namespace corod::cli {

// A line for each thing, without a final line end.
std::string BenchToText(const BenchArguments& arguments, const v1::Session& session, const load::Found& found);

// One object on one line.
std::string BenchToJson(const BenchArguments& arguments, const v1::Session& session, const load::Found& found);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_BENCH_FORM_H_
