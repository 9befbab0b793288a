// From an endpoint to a proven, greeted TLS stream, within a deadline.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "connection.hpp"

namespace base::host {

/// Calls something at a deadline, which usually closes a socket so that what waits on it ends.
class Deadline {
  public:
    Deadline(Clock& clock, TimePoint when) : clock_{clock}, state_{std::make_shared<State>()} {
        timer_ = clock.schedule(when, [state = state_] {
            state->passed = true;
            if (state->give_up) state->give_up();
        });
    }
    ~Deadline() { clock_.cancel(timer_); }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    /// Replaces what is called. Not called at once even if the deadline has passed: ask passed() after each wait.
    void on_expiry(std::function<void()> give_up) { state_->give_up = std::move(give_up); }
    [[nodiscard]] bool passed() const { return state_->passed; }

  private:
    struct State {
        bool passed = false;
        std::function<void()> give_up;
    };
    Clock& clock_;
    std::shared_ptr<State> state_;
    Clock::TimerId timer_;
};

struct GreetedStream {
    std::shared_ptr<TlsStream> stream;
    std::unique_ptr<FrameReader> reader;
    Hello hello;  // theirs
};

struct DialRequest {
    std::string endpoint;
    std::string_view alpn;
    TlsEngine::PeerCheck check;
    Hello hello;  // ours
    TimePoint deadline;
};

/// Errors: bad_argument (endpoint), unreachable, timed_out, not_a_member (ours or theirs), unsupported, bad_format.
[[nodiscard]] Task<Result<GreetedStream>> dial_stream(Executor executor, Clock& clock, const TlsContext& tls,
                                                      DialRequest request);

}  // namespace base::host
