/* What Debian's libunwind.a, which was made for glibc, wants of it and musl has not. */
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *file, int level, const char *format, ...)
{
	va_list rest;
	int written;

	(void)level;
	va_start(rest, format);
	written = vfprintf(file, format, rest);
	va_end(rest);
	return written;
}
