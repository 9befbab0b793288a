// What an operation that can fail returns: a value, or an Error that says what failed and on what.
//
// Expected failures are Results. A broken promise of the caller asserts. An exception means cancelled, out of memory or
// a bug; only TaskGroup and the top of a process catch.
#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace base {

/// A code for programs and a sentence for people. Compares equal to its code.
class Error {
  public:
    Error() = default;
    Error(std::error_code code, std::string detail = {})  // NOLINT(google-explicit-constructor)
        : code_{code}, detail_{std::move(detail)} {}
    template <class Enum>
        requires std::is_error_code_enum_v<Enum>
    Error(Enum value, std::string detail = {})  // NOLINT(google-explicit-constructor): `return Errc::locked;`
        : code_{make_error_code(value)}, detail_{std::move(detail)} {}

    [[nodiscard]] const std::error_code& code() const { return code_; }
    /// What it was about (a path, an id, a peer) and the remedy; may be empty.
    [[nodiscard]] const std::string& detail() const { return detail_; }
    /// One line: "detail: what the code means", or the latter alone.
    [[nodiscard]] std::string message() const;
    /// The same code with `context` put before the detail: "context: detail".
    [[nodiscard]] Error with(std::string_view context) const;

    friend bool operator==(const Error& error, const std::error_code& code) { return error.code_ == code; }
    friend bool operator==(const Error& error, const std::error_condition& condition) {
        return error.code_ == condition;
    }
    template <class Enum>
        requires std::is_error_code_enum_v<Enum>
    friend bool operator==(const Error& error, Enum value) {
        return error.code_ == make_error_code(value);
    }
    friend bool operator==(const Error& a, const Error& b) { return a.code_ == b.code_; }

  private:
    std::error_code code_;
    std::string detail_;
};

/// Required by boost::system::result: value() of a failed Result throws system_error. Code that checks never gets here.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

template <class T>
using Result = boost::system::result<T, Error>;

/// Success of an operation without a value: `return base::ok();`
[[nodiscard]] inline Result<void> ok() { return Result<void>{boost::system::in_place_value}; }

}  // namespace base

#define BASE_JOIN_(a, b) a##b
#define BASE_JOIN(a, b) BASE_JOIN_(a, b)

// BASE_TRY(auto x, f());        x is f()'s value, or the enclosing function returns f()'s error.
// BASE_CO_TRY(auto x, co_await g());   the same in a coroutine.
// BASE_CHECK / BASE_CO_CHECK:   for Result<void>, or where the value does not matter.
#define BASE_TRY_(return_, temporary, declaration, ...)   \
    auto&& temporary = (__VA_ARGS__);                     \
    if (!temporary) return_ std::move(temporary).error(); \
    declaration = *std::move(temporary)
#define BASE_TRY(declaration, ...) BASE_TRY_(return, BASE_JOIN(result_, __COUNTER__), declaration, __VA_ARGS__)
#define BASE_CO_TRY(declaration, ...) BASE_TRY_(co_return, BASE_JOIN(result_, __COUNTER__), declaration, __VA_ARGS__)
#define BASE_CHECK_(return_, temporary, ...) \
    if (auto temporary = (__VA_ARGS__); !temporary) return_ std::move(temporary).error()
#define BASE_CHECK(...) BASE_CHECK_(return, BASE_JOIN(result_, __COUNTER__), __VA_ARGS__)
#define BASE_CO_CHECK(...) BASE_CHECK_(co_return, BASE_JOIN(result_, __COUNTER__), __VA_ARGS__)
