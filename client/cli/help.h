#ifndef COROD_CLIENT_CLI_HELP_H_
#define COROD_CLIENT_CLI_HELP_H_

// What --help says after the options: rules and examples.
namespace corod::cli::help {

extern const char kMain[];
extern const char kCreate[];
extern const char kSend[];
extern const char kNext[];
extern const char kThrow[];
extern const char kClose[];
extern const char kDelete[];
extern const char kGet[];
extern const char kList[];
extern const char kWatch[];
extern const char kHistory[];
extern const char kFork[];
extern const char kExport[];
extern const char kImport[];
extern const char kCatalog[];
extern const char kDefine[];
extern const char kUndefine[];
extern const char kPipe[];
extern const char kTry[];
extern const char kVerify[];
extern const char kBench[];
extern const char kHealth[];
extern const char kLogLevel[];

}  // namespace corod::cli::help

#endif  // COROD_CLIENT_CLI_HELP_H_
