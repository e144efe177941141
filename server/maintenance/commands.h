#ifndef COROD_SERVER_MAINTENANCE_COMMANDS_H_
#define COROD_SERVER_MAINTENANCE_COMMANDS_H_

#include <optional>

#include "server/catalog/catalog.h"

namespace corod::maintenance {

// What `corod --help` says of them.
inline constexpr char kCommandsHelp[] =
    "Commands, in place of serving (corod COMMAND --help):\n"
    "  backup DIR   copies a data directory, also while a server works in it\n"
    "  restore DIR  makes a data directory of such a copy\n"
    "  check        reads a data directory that no server has open, and says what is wrong with it\n"
    "  token NAME NAMESPACE ROLE  makes a token, and the line for the identities file";

// Carries out `corod backup`, `corod restore`, `corod check` or `corod token` and returns the exit status: 0, 1
// (something is wrong with what was found there; nothing was copied) or 2 (the command line is wrong, or something
// cannot be read). nullopt: the command line asks for something else. `catalog`: what the binary brings; is added to.
// Once per process.
std::optional<int> RunCommand(int argc, const char* const* argv, Catalog& catalog);

}  // namespace corod::maintenance

#endif  // COROD_SERVER_MAINTENANCE_COMMANDS_H_
