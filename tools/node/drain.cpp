#include "node/drain.hpp"

#include <CLI/CLI.hpp>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "daemon/control.hpp"
#include "daemon/health.hpp"
#include "past/error.hpp"
#include "session/data_directory.hpp"

namespace tools {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kAskPatience = 60s;  // where the authority acts may be slow
constexpr auto kLook = 500ms;
constexpr auto kShow = 10s;        // a line, where none can be drawn over
constexpr auto kNoProgress = 60s;  // with nodes that refuse: then it does not end by itself

struct Left {
    bool draining = false;
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;
    std::uint64_t records = 0;
    std::string refusing;
    std::string away;

    [[nodiscard]] bool nothing() const { return blocks == 0 && records == 0; }
    [[nodiscard]] std::string text() const {
        auto words = plural(blocks, "block", "blocks") + ", " + human_size(bytes);
        if (records > 0) words += ", and " + plural(records, "volume's newest state", "volumes' newest states");
        return words;
    }
};

base::Result<Left> ask(Context& context, const nlohmann::json& arguments) {
    BASE_TRY(const auto answer, ask_daemon(data_directory(context.settings), "drain", arguments, kAskPatience));
    return Left{answer.at("draining").get<bool>(),       answer.at("blocks").get<std::uint64_t>(),
                answer.at("bytes").get<std::uint64_t>(), answer.at("records").get<std::uint64_t>(),
                listed(answer.at("refusing")),           listed(answer.at("away"))};
}

nlohmann::json document(const char* type, const Left& left) {
    return {{"message_type", type},
            {"blocks_left", left.blocks},
            {"bytes_left", left.bytes},
            {"records_left", left.records}};
}

/// What is left, how fast it goes, and for whom it waits.
class Shown {
  public:
    explicit Shown(Console& console) : console_{console} {}
    ~Shown() { console_.status(""); }
    Shown(const Shown&) = delete;
    Shown& operator=(const Shown&) = delete;

    void show(const Left& left) {
        const auto now = Clock::now();
        most_ = std::max(most_, left.bytes);
        rate_.add(now, most_ - left.bytes);
        if (!console_.draws() && now < next_) return;
        next_ = now + kShow;
        if (console_.output().json) {
            auto status = document("status", left);
            status["action"] = "drain";
            status["bytes_per_second"] = static_cast<std::uint64_t>(rate_.bytes_per_second());
            if (!console_.output().quiet) console_.print_json(status);
            return;
        }
        auto line = left.text() + " left, " + human_size(static_cast<std::uint64_t>(rate_.bytes_per_second())) + "/s";
        if (!left.refusing.empty()) line += "; no room on " + left.refusing;
        if (!left.away.empty()) line += "; waiting for " + left.away + ", away";
        console_.draws() ? console_.status(line) : console_.note(line);
    }

  private:
    Console& console_;
    RateMeter rate_;
    std::uint64_t most_ = 0;
    Clock::time_point next_ = Clock::now() + kShow;
};

base::Result<void> wait_until_drained(Context& context) {
    Shown shown{context.console};
    auto least = std::numeric_limits<std::uint64_t>::max();
    auto progress_at = Clock::now();
    for (;;) {
        auto asked = ask(context, nlohmann::json::object());
        if (!asked) return asked.error().with("the node does not answer any more; when it runs it goes on draining");
        const auto& left = *asked;
        if (!left.draining) return base::Error{base::Errc::denied, "somebody took the draining back"};
        if (left.nothing()) return base::ok();
        shown.show(left);
        if (left.blocks + left.records < least) progress_at = Clock::now();
        least = std::min(least, left.blocks + left.records);
        if (!left.refusing.empty() && Clock::now() - progress_at > kNoProgress) {
            return base::Error{past::Errc::no_space, left.text() + " cannot go to the others (" + left.refusing +
                                                         " take nothing more): add a machine or room; draining goes on "
                                                         "until 'pelago node drain --cancel'"};
        }
        for (auto waited = 0ms; waited < kLook; waited += 100ms) {
            if (context.io.environment().stop.stop_requested()) {
                context.console.note(
                    "the node goes on draining; 'pelago node drain' shows how far it is, --cancel "
                    "ends it");
                return base::Errc::interrupted;
            }
            std::this_thread::sleep_for(100ms);
        }
    }
}

}  // namespace

base::Result<void> drain_node(Context& context) {
    if (auto begun = ask(context, {{"on", true}}); !begun) return begun.error().with("cannot drain this node");
    return wait_until_drained(context);
}

base::Result<void> cancel_drain(Context& context) {
    if (auto done = ask(context, {{"on", false}}); !done) return done.error().with("cannot take the draining back");
    return base::ok();
}

void add_drain_verb(Verbs& verbs, CLI::App& group) {
    struct Flags {
        bool cancel = false;
        bool no_wait = false;
    };
    auto flags = std::make_shared<Flags>();
    CLI::App& verb =
        verbs.add(group,
                  {"drain", "Empty this machine's node before it leaves", "node drain\nnode drain --cancel",
                   "It is given nothing more, and the others make its copies; until then it stays their source and "
                   "answers reads. "
                   "Returns when everything that it keeps has all its copies on others. Restarts change nothing."},
                  [flags](Context& context) -> base::Result<ExitCode> {
                      auto& console = context.console;
                      if (flags->cancel) {
                          BASE_CHECK(cancel_drain(context));
                          if (console.output().json) {
                              console.print_json({{"message_type", "summary"}, {"draining", false}});
                          } else {
                              console.print("this node holds copies again\n");
                          }
                          return ExitCode::done;
                      }
                      if (flags->no_wait) {
                          auto begun = ask(context, {{"on", true}});
                          if (!begun) return begun.error().with("cannot drain this node");
                          if (console.output().json) {
                              console.print_json(document("summary", *begun));
                          } else {
                              console.print("this node is being drained: " + begun->text() + " left\n");
                          }
                          return ExitCode::done;
                      }
                      BASE_CHECK(drain_node(context));
                      if (console.output().json) {
                          console.print_json(document("summary", Left{}));
                      } else {
                          console.print(
                              "everything that this node keeps has all its copies on others; leave now: 'pelago "
                              "network leave'\n");
                      }
                      return ExitCode::done;
                  });
    verb.add_flag("--cancel", flags->cancel, "Take it back: the node holds copies again");
    verb.add_flag("--no-wait", flags->no_wait, "Return once it has begun");
}

}  // namespace tools
