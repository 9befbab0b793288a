// A world for run(args, io) that a test makes up and reads afterwards.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/io.hpp"
#include "cli/run.hpp"

namespace tools::testing {

class RecordedIo final : public Io {
  public:
    explicit RecordedIo(Environment surroundings) : Io{std::move(surroundings)} {}

    void out(std::string_view text) override { out_ += text; }
    void err(std::string_view text) override { err_ += text; }
    base::Result<void> finish() override { return finish_; }
    base::Result<base::Bytes> read_input(std::size_t limit) override {
        if (input_.size() > limit) return base::Errc::bad_argument;
        return base::to_bytes(input_);
    }
    base::Result<std::string> ask_secret(std::string_view) override {
        if (!environment().in_is_terminal || typed_.empty()) return base::Errc::denied;
        auto line = typed_.front();
        typed_.pop_front();
        return line;
    }

    std::string out_;
    std::string err_;
    std::string input_;
    std::deque<std::string> typed_;
    base::Result<void> finish_ = base::ok();
};

/// As long as it lives a test that root runs has an ordinary user's rights.
class OrdinaryUser {
  public:
    OrdinaryUser() {
        constexpr uid_t kNobody = 65'534;
        if (was_ == 0 && ::seteuid(kNobody) != 0) throw std::runtime_error{"cannot become an ordinary user"};
    }
    ~OrdinaryUser() {
        if (::seteuid(was_) != 0) std::abort();
    }
    OrdinaryUser(const OrdinaryUser&) = delete;
    OrdinaryUser& operator=(const OrdinaryUser&) = delete;

  private:
    uid_t was_ = ::geteuid();
};

/// A directory of its own, gone afterwards.
class Scratch {
  public:
    Scratch()
        : path_{std::filesystem::temp_directory_path() / ("pelago-test-" + std::to_string(std::random_device{}()))} {
        std::filesystem::create_directories(path_);
    }
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    [[nodiscard]] std::string path(const std::string& name = {}) const {
        return name.empty() ? path_.string() : (path_ / name).string();
    }
    void write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream{path_ / name, std::ios::binary} << text;
    }
    [[nodiscard]] std::string read(const std::string& name) const {
        std::ifstream in{path_ / name, std::ios::binary};
        return {std::istreambuf_iterator<char>{in}, {}};
    }
    [[nodiscard]] bool has(const std::string& name) const { return std::filesystem::exists(path_ / name); }

  private:
    std::filesystem::path path_;
};

struct Outcome {
    int code = 0;
    std::string out;
    std::string err;

    [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(out); }
    /// Each line of standard output.
    [[nodiscard]] std::vector<nlohmann::json> lines() const {
        std::vector<nlohmann::json> all;
        std::string rest = out;
        for (std::size_t end = 0; (end = rest.find('\n')) != std::string::npos; rest.erase(0, end + 1)) {
            all.push_back(nlohmann::json::parse(rest.substr(0, end)));
        }
        return all;
    }
};

/// A user with a home of their own, at whose machine commands are run.
class User {
  public:
    User() {
        environment.variables = {{"HOME", home.path()}};
        environment.host = "testhost";
        environment.user = "ann";
        environment.user_id = 1000;
    }

    Outcome operator()(std::vector<std::string> args) {
        RecordedIo io{environment};
        io.input_ = input;
        io.typed_ = typed;
        const int code = run(args, io);
        return {code, io.out_, io.err_};
    }

    Scratch home;
    Environment environment;
    std::string input;
    std::deque<std::string> typed;
};

}  // namespace tools::testing
