#include "history.hpp"

#include <algorithm>
#include <map>

namespace past::test {
namespace {

std::string at(const char* what, const Operation& operation) {
    const auto ms = [](base::TimePoint time) {
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
    };
    return std::string{what} + ": " + (operation.kind == Operation::Kind::read ? "read " : "write ") +
           std::to_string(operation.sequence) + " \"" + operation.text + "\" from " + ms(operation.begun) + " to " +
           ms(operation.ended) + " ms";
}

bool was_seen(const Operation& operation) {
    return operation.outcome == Operation::Outcome::done && operation.sequence > 0;
}

}  // namespace

std::string check_history(const std::vector<Operation>& history) {
    // The one body of each sequence, as far as anybody saw it.
    std::map<std::uint64_t, std::string> bodies;
    for (const auto& operation : history) {
        if (!was_seen(operation)) continue;
        const auto [body, fresh] = bodies.try_emplace(operation.sequence, operation.text);
        if (!fresh && body->second != operation.text) return at("two bodies for one sequence", operation);
    }
    std::map<std::uint64_t, base::TimePoint> written_from;  // when the write of this sequence's body began
    for (const auto& [sequence, text] : bodies) {
        const auto writer = std::ranges::find_if(history, [&](const Operation& operation) {
            return operation.kind == Operation::Kind::write && operation.sequence == sequence && operation.text == text;
        });
        if (writer == history.end()) return "nobody wrote " + std::to_string(sequence) + " \"" + text + "\"";
        if (writer->outcome == Operation::Outcome::conflict) return at("a refused write was seen", *writer);
        written_from[sequence] = writer->begun;
    }
    for (const auto& operation : history) {
        if (!was_seen(operation)) continue;
        if (operation.ended < written_from[operation.sequence]) return at("seen before it was written", operation);
    }
    // By when the register had certainly reached a sequence: the earliest end of an operation that saw so much.
    std::vector<std::pair<base::TimePoint, std::uint64_t>> reached;
    for (const auto& operation : history) {
        if (was_seen(operation)) reached.emplace_back(operation.ended, operation.sequence);
    }
    std::ranges::sort(reached);
    for (std::size_t i = 1; i < reached.size(); ++i) {
        reached[i].second = std::max(reached[i].second, reached[i - 1].second);
    }
    const auto certain_before = [&](base::TimePoint time) -> std::uint64_t {
        const auto next = std::ranges::lower_bound(reached, std::pair{time, std::uint64_t{0}});
        return next == reached.begin() ? 0 : std::prev(next)->second;
    };
    for (const auto& operation : history) {
        const auto least = certain_before(operation.begun);
        if (operation.kind == Operation::Kind::read) {
            if (operation.outcome == Operation::Outcome::done && operation.sequence < least) {
                return at(("it went back from " + std::to_string(least)).c_str(), operation);
            }
            continue;
        }
        const auto expected = operation.sequence - 1;
        if (operation.outcome == Operation::Outcome::done && expected < least) {
            return at(("written over " + std::to_string(least)).c_str(), operation);
        }
        if (operation.outcome != Operation::Outcome::conflict) continue;
        // Refused: there was a moment when the register was not at what the writer expected.
        const bool behind_at_first = least < expected;
        const auto overtaken = written_from.find(operation.sequence);
        const bool ahead_at_last = overtaken != written_from.end() && overtaken->second <= operation.ended;
        if (!behind_at_first && !ahead_at_last) return at("refused though nobody was faster", operation);
    }
    return {};
}

}  // namespace past::test
