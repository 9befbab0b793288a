// Commands that the user names in a setting.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace tools {

/// What `/bin/sh -c command` prints, at most `limit` bytes. Its input and its errors are ours. Errc::bad_argument if it
/// fails (with its exit code) or prints more.
[[nodiscard]] base::Result<std::string> output_of_command(const std::string& command, std::size_t limit);

/// A program that writes what we read. Its input and its errors are ours.
class ChildOutput {
  public:
    /// `command`: the program, looked for in PATH, and its arguments.
    [[nodiscard]] static base::Result<std::unique_ptr<ChildOutput>> start(std::vector<std::string> command,
                                                                          std::stop_token stop);
    /// Ends the program if it has not ended.
    ~ChildOutput();
    ChildOutput(const ChildOutput&) = delete;
    ChildOutput& operator=(const ChildOutput&) = delete;

    /// The next bytes; 0 at the end, if the program was successful: else Errc::io_failed with its exit code.
    [[nodiscard]] base::Result<std::size_t> read(std::span<std::uint8_t> out);

  private:
    ChildOutput(std::string name, pid_t child, int pipe, std::stop_token stop)
        : name_{std::move(name)}, child_{child}, pipe_{pipe}, stop_{std::move(stop)} {}
    std::string name_;
    pid_t child_;
    int pipe_;
    std::stop_token stop_;
    bool ended_ = false;
};

}  // namespace tools
