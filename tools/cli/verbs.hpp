// The verbs of the program: how a family adds its own, and what each is given when it runs.
//
// A family is a folder with one function `void add_<family>_verbs(Verbs& verbs)`, listed in cli/families.cpp.
#pragma once

#include <functional>
#include <string>

#include "base/result.hpp"
#include "cli/console.hpp"
#include "cli/exit_code.hpp"
#include "cli/io.hpp"
#include "config/settings.hpp"

namespace CLI {
class App;
}

namespace tools {

/// What every verb works with. Lives as long as the run.
struct Context {
    Io& io;
    Console& console;
    const Settings& settings;
    const CLI::App& program;  ///< the whole command line, for completion scripts
};

/// Does the work. An Error ends as one line on standard error, with the exit code of cli/exit_code.cpp.
using Action = std::function<base::Result<ExitCode>(Context&)>;

struct Help {
    const char* name;       ///< "backup"
    const char* summary;    ///< one line, no full stop
    const char* example;    ///< command lines, one a line, without the leading "pelago"
    const char* more = "";  ///< a paragraph, if the summary is not enough
};

class Verbs {
  public:
    explicit Verbs(CLI::App& program) : program_{program} {}

    /// A word that only groups others: "archive".
    CLI::App& group(const char* name, const char* summary);
    /// A verb below a group, or of the program itself. Options are added to what is returned; their storage is kept by
    /// the action.
    CLI::App& add(CLI::App& parent, const Help& help, Action action);
    CLI::App& add(const Help& help, Action action);

    /// The verb that the parsed command line names; empty if it names none.
    [[nodiscard]] const Action& chosen() const { return chosen_; }

  private:
    CLI::App& program_;
    Action chosen_;
};

/// Calls every family's registration.
void add_all_verbs(Verbs& verbs);

/// Errc::usage with a sentence.
[[nodiscard]] base::Error usage_error(std::string sentence);

}  // namespace tools
