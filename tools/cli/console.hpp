// Everything a command says: results on standard output, words for people on standard error, and one status line at the
// bottom of a terminal. With --json results are JSON, and nothing else is on standard output.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "base/result.hpp"
#include "cli/exit_code.hpp"
#include "cli/io.hpp"

namespace tools {

/// What the flags that every verb knows say about output.
struct OutputOptions {
    bool json = false;
    bool quiet = false;
    bool color = false;
    unsigned verbose = 0;
};

/// Thread safe.
class Console {
  public:
    Console(Io& io, OutputOptions output) : io_{io}, output_{output} {}
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    [[nodiscard]] const OutputOptions& output() const { return output_; }
    /// Whether print() or print_json() was called.
    [[nodiscard]] bool has_printed() const { return has_printed_; }
    [[nodiscard]] unsigned columns() const { return io_.environment().columns; }
    /// True where a line may be drawn over and over: a terminal, no --json, not --quiet.
    [[nodiscard]] bool draws() const { return io_.environment().err_is_terminal && !output_.json && !output_.quiet; }

    /// A result, for people and pipes alike. Not for --json.
    void print(std::string_view text);
    /// A result, for programs: one line. JSON cannot hold a name that is not UTF-8: such a field has U+FFFD in it, and
    /// beside it one whose key ends in "_base64" has the bytes (of a list, those of all its strings).
    void print_json(const nlohmann::json& document);
    /// Something worth knowing while it works: on standard error, unless --quiet or --json.
    void note(std::string_view text);
    /// "pelago: warning: ..." on standard error; with --json an object of message_type "warning". Never silenced.
    void warn(std::string_view text);
    /// Tells of the error that ends the run; the exit code for it. One line, whatever is in the message.
    ExitCode fail(const base::Error& error);

    /// Draws over the previous status; empty clears it. Only where draws().
    void status(std::string_view line);

    /// `color`: the number of an escape sequence ("31" is red). Plain where no colours are wanted.
    [[nodiscard]] std::string marked(std::string_view text, std::string_view color) const;

  private:
    void err_line(std::string_view text);
    void clear_status();

    Io& io_;
    OutputOptions output_;
    std::mutex mutex_;
    bool status_shown_ = false;
    std::atomic<bool> has_printed_ = false;
};

/// What the layers report while a command runs: with --verbose all of it, else the first warnings of each. The command
/// itself says in its result what was wrong and how often, so a thousand damaged blocks are not a thousand lines.
class ConsoleLog final : public base::Log {
  public:
    explicit ConsoleLog(Console& console) : console_{console} {}
    void write(Level level, const char* channel, std::string text) override;
    [[nodiscard]] bool enabled(Level level) const noexcept override;

  private:
    static constexpr unsigned kWarningsEach = 3;

    Console& console_;
    std::mutex mutex_;
    std::map<std::string, unsigned, std::less<>> warned_;  // by channel
};

/// "pelago: cannot read x: permission denied; what to do", in one line.
[[nodiscard]] std::string describe(const base::Error& error);

}  // namespace tools
