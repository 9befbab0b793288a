// What one run of the program sees of the world around it: streams, terminal, environment, Ctrl-C. Values and one small
// interface, so that a test is such a world too and drives run(args, io) in its own process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace tools {

/// Fixed for the life of the process.
struct Environment {
    std::map<std::string, std::string, std::less<>> variables;
    std::string host;  ///< this machine's name, recorded in snapshots
    std::string user;  ///< likewise
    std::uint32_t user_id = 0;
    bool in_is_terminal = false;
    bool out_is_terminal = false;
    bool err_is_terminal = false;
    unsigned columns = 80;  ///< of the terminal on standard error, if there is one
    std::stop_token stop;   ///< requested by SIGINT, SIGTERM and SIGHUP

    /// Nullopt if unset or empty: an empty variable means "not given", as everywhere in Unix.
    [[nodiscard]] std::optional<std::string> variable(std::string_view name) const;
};

class Io {
  public:
    explicit Io(Environment environment) : environment_{std::move(environment)} {}
    virtual ~Io() = default;

    [[nodiscard]] const Environment& environment() const { return environment_; }

    /// Standard output and standard error. An error is kept until finish(). Thread safe.
    virtual void out(std::string_view text) = 0;
    virtual void err(std::string_view text) = 0;
    /// Flushes. The first error that any write met: output that was lost must not end in exit code 0.
    [[nodiscard]] virtual base::Result<void> finish() = 0;

    /// All of standard input; Errc::bad_argument above `limit` bytes.
    [[nodiscard]] virtual base::Result<base::Bytes> read_input(std::size_t limit) = 0;
    /// One line typed by a person, not echoed. Errc::denied if there is no terminal to ask on; Errc::interrupted.
    [[nodiscard]] virtual base::Result<std::string> ask_secret(std::string_view prompt) = 0;

  private:
    Environment environment_;
};

}  // namespace tools
